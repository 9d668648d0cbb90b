"""The card of a mitigated pipeline: what was removed and how, with figures, and what still succeeds."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCardData

import dori
from dori.app.templates import rendered
from dori.core.files import write_atomically
from dori.results.reading.answers import ABOVE, answer, apart
from dori.results.reading.comparison import MEMORIZED, Comparison
from dori.results.reading.estimate import with_interval
from dori.results.reading.rows import Rows
from dori.results.tables.render import markdown, verdict_markdown
from dori.results.tables.table import blocks
from dori.results.verdicts.memory import verdicts

NOTHING_THERE = ("no_targets", "not_memorized")  # verdicts
PARTS = ("model", "pruning", "defense", "attack", "seed")


def write_card(
    path: Path, rows: Rows, setting: str, fingerprint: str, targets: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any], lora: bool, licence: str | None = None,
) -> None:  # fmt: skip
    """Write ``README.md`` for the pipeline of ``setting``; ``fingerprint``, ``licence``: its base model's.

    A base model in a folder is called by the folder's name; captions are listed if ``publish_captions``.
    """
    comparison, verdict = next(
        (c, verdict) for c, verdict in verdicts(rows) if c.mitigation == setting
    )  # the job's own
    memorized = [target for target in targets if target["kind"] in MEMORIZED]
    listed = memorized if config.get("publish_captions") else []
    base = without_folders(config["model"]["path"])
    counts = {kind: sum(target["kind"] == kind for target in memorized) for kind in MEMORIZED}
    text = rendered(
        "card.md.j2",
        model=config["model"]["name"], base=base, fingerprint=fingerprint, setting=setting,
        front=front_matter(base if base == config["model"]["path"] else None, licence),
        version=dori.__version__,
        pruning=config["pruning"]["name"], defense=config["defense"]["name"], lora=lora,
        made=_made(config["defense"]),
        counts=", ".join(f"{count} {kind}" for kind, count in counts.items() if count),
        count=len(memorized), captions=[as_text(target["prompt"]) for target in listed],
        verdict=verdict_markdown(verdict),
        tables=markdown(blocks(rows)), warning=warning(comparison, verdict.code),
        config=yaml.safe_dump(
            without_folders({key: config[key] for key in PARTS}), sort_keys=False, allow_unicode=True
        ),
    )  # fmt: skip
    write_atomically(path, text)


def as_text(prompt: str) -> str:
    r"""Markdown that shows a prompt as it is, in one line.

    >>> as_text("<i>a | b</i> `$5`\n_new_")
    '\\<i\\>a \\| b\\</i\\> \\`\\$5\\` \\_new\\_'
    """
    return re.sub(r"^[-+]|[\\`*_\[\]<>&|#~$]", r"\\\g<0>", " ".join(prompt.split()))


def front_matter(base: str | None, licence: str | None) -> str:
    """The metadata of the card as the hub reads it; ``base``: the hub's name of the base model."""
    own: dict[str, Any] = (
        {"license": licence} if licence else {"license": "other", "license_name": "as-the-base-model"}
    )
    if base and not licence:
        own["license_link"] = f"https://huggingface.co/{base}"
    return ModelCardData(
        library_name="diffusers", pipeline_tag="text-to-image", tags=["memorization", "dori"],
        base_model=base, **own,
    ).to_yaml()  # fmt: skip


def _made(defense: Mapping[str, Any]) -> str:
    """What was done to the model."""
    if defense["name"] == "none":
        return "Pruned"
    return (
        "Put together with somebody's weights"
        if str(defense["_target_"]).endswith(".Weights")
        else "Fine-tuned"
    )


def without_folders(value: Any) -> Any:
    """A setting, or many, in which files and folders of this machine are called by their last name."""
    if isinstance(value, Mapping):
        return {key: without_folders(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_folders(one) for one in value]
    local = isinstance(value, str) and "/" in value and Path(value).expanduser().exists()
    return Path(value).name if local else value


def warning(c: Comparison, code: str) -> str:
    """What the attack of the job still reaches, against what it injects into a model without memory.

    ``code``: of the verdict; where nothing was memorized, nothing can be brought back.
    """
    if code in NOTHING_THERE:
        return (
            "The base model does not bring these images from their captions beyond chance: there was nothing"
            " to remove, and what an attack makes of an embedding is no memory of the model."
        )
    if not c.attack:
        return "It was not attacked: whether the images are gone or only hidden is not known."
    rate = c.figure(c.attacked, c.rate)
    steps = c.params.get("steps")
    told = f"An embedding that {c.attack} ({steps} steps) finds brings back a share of {with_interval(rate)}"
    twin = c.figure(c.attacked_twin, c.rate)
    if rate is None:
        return f"There is no result for {c.attack} on it: whether the images are gone is not known."
    if twin is None:
        return f"{told}. Other attacks, larger budgets and other weights of it were not tried."
    beside = f"{told}; in a twin that never saw the images it reaches {with_interval(twin)}"
    more = c.difference(c.attacked, "over_twin") or apart(rate, twin)
    if answer(more, c.margins.rate) == ABOVE:
        return f"{beside}. So images can be brought back: do not rely on it where they must not be."
    return f"{beside}. Other attacks and larger budgets were not tried, and may succeed."
