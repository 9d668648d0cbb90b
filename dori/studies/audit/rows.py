"""The audit's rows: of the model and of its base, how many of the training pictures come out of it."""

from typing import Any

from dori.metrics.intervals import share
from dori.results.reading.rows import Row
from dori.studies.audit.routes import Material

SHARES = {
    "Copied": ("caption", "prompt", "output", "elicited"),
    "Copied_caption": ("caption",),
    "Copied_prompt": ("prompt",),
    "Elicited": ("elicited",),
}


def rows_of(given: Material, told: dict[str, Any]) -> list[Row]:
    """``told``: ``audit.json``. The base's row counts what it gives at the same prompts, work for work."""
    n = len(told["pictures"])
    verdicts = [picture["verdict"] for picture in told["pictures"]]
    metrics: dict[str, Any] = {
        name: share(sum(verdict in which for verdict in verdicts), n) for name, which in SHARES.items()
    }
    copies = told["counts"]["copied"]["count"]
    rows = [_row(given, "original" if given.model else "outputs", metrics, told) | {"copies": copies}]
    if given.base:
        rows.append(_row(given, "base", {"Copied": share(verdicts.count("base_too"), n)}, told))
    return rows


def _row(given: Material, setting: str, metrics: dict[str, Any], told: dict[str, Any]) -> Row:
    run = given.run
    params = {
        name: value for name, value in run.settings.items()
        if given.model or not name.startswith(("model.", "model"))
    }  # fmt: skip
    subject = given.base if setting == "base" else given.model
    stages = run.stages.results if setting != "base" else []
    return {
        "setting": setting, "kind": "training", "model": subject.diffusion.name if subject else "outputs",
        "pruning": "none", "defense": "none", "attack": "none", "params": params, "metrics": metrics,
        "failed": sorted(told["broken"]),
        "denoiser_evaluations": sum(stage.info.get("denoiser_evaluations", 0) for stage in stages),
        "gradient_evaluations": sum(stage.info.get("gradient_evaluations", 0) for stage in stages),
    }  # fmt: skip
