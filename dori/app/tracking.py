"""What goes to the experiment tracker; with Lightning's CSVLogger, the same figures as local CSV.

In W&B the names are fixed: ``{setting}/{kind}/{metric}`` in the run's summary, with ``_low``,
``_high``, ``_n`` and ``_mad`` beside it, and ``curve/{name}`` against ``budget/{axis}`` where an
attack has several budgets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig

from dori.app.curves import log_curve, log_curves, log_line
from dori.app.opening import shortened, staged_in
from dori.core.fingerprints import fingerprint
from dori.results.budget.lines import curves, label
from dori.results.figures.curves import name_of
from dori.results.reading.comparison import varying
from dori.results.reading.rows import Rows, plain

if TYPE_CHECKING:
    import wandb

PICTURES = 400  # of the per-image table that carry their image; the others carry figures alone


def log_results(
    logger: Logger | None, rows: Rows, images: pd.DataFrame, grid_path: Path, report_path: Path,
    config: Mapping[str, Any], tags: Sequence[str] = (),
) -> None:  # fmt: skip
    """Log a job: configuration, figures, and (W&B) the grid, the report and a table of images."""
    if logger is None:
        return
    values = summary(rows)
    logger.log_hyperparams(flatten(config))
    log_curves(logger, rows)
    if not isinstance(logger, WandbLogger):
        logger.log_metrics(values)
        logger.save()
        return
    import wandb  # only where it is used: it takes most of a second

    run = logger.experiment
    run.tags = tuple(shortened([*(run.tags or ()), *tags]))
    run.summary.update(values)
    run.log(
        {
            "grid": wandb.Image(str(grid_path)),
            "report": wandb.Html(report_path.read_text(), inject=False),
            "images": image_table(images),
        }
    )


def summary(rows: Rows) -> dict[str, float]:
    """Flat figures under their fixed names. What was swept, if anything, is appended to the setting."""
    swept = varying(rows)
    found: dict[str, float] = {}
    for row in rows:
        values = [f"{name}={name_of(row['params'].get(name))}" for name in swept]
        prefix = "/".join([",".join([row["setting"], *values]), row["kind"]])
        for metric, entry in plain(row["metrics"]).items():
            for part in ("value", "low", "high", "n", "mad"):
                if entry and entry.get(part) is not None:
                    suffix = "" if part == "value" else f"_{part}"
                    found[f"{prefix}/{metric}{suffix}"] = entry[part]
    return found


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"attack": {"steps": 50}}`` → ``{"attack/steps": 50}``; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def tags(choices: Mapping[str, str | None]) -> list[str]:
    """Hydra's chosen groups (``hydra.runtime.choices``) as tags, e.g. ``pruning=wanda``."""
    return [
        f"{group}={name}"
        for group, name in sorted(choices.items())
        if name not in (None, "null") and not group.startswith("hydra/")
    ]


def log_sweep(rows: Rows, config: DictConfig, folder: Path, x: str | None = None) -> None:
    """A finished sweep's curves in W&B: a run for each line, with the merged report, under one group."""
    if "WandbLogger" not in config.logger["_target_"]:
        return
    with staged_in(folder / "wandb"):
        _log_curves_of(rows, config, folder, x)
    if config.logger.offline:
        print(f"W&B, offline: wandb sync {folder}/wandb/offline-run-* {folder}/*/wandb/offline-run-*")


def _log_curves_of(rows: Rows, config: DictConfig, folder: Path, x: str | None) -> None:
    import wandb

    for curve in curves(rows, x):
        name = label(curve)
        logger = WandbLogger(
            project=config.logger.project, name=name, group=config.name, job_type="sweep", save_dir=folder,
            id=fingerprint([config.name, name, rows[0]["fingerprint"]]), offline=config.logger.offline,
        )  # fmt: skip
        logger.log_hyperparams({"mitigation": curve.mitigation, "attack": curve.attack, **curve.others})
        log_curve(logger, replace(curve, others={}))
        logger.experiment.log({"report": wandb.Html((folder / "report.html").read_text(), inject=False)})
        finish(logger)


def log_history(logger: Logger | None, lines: Sequence[Mapping[str, float]], pictures: Path) -> None:
    """How a training went: ``training/{figure}`` against ``budget/epochs``; its pictures, if there are."""
    if logger is None:
        return
    if isinstance(logger, WandbLogger):
        logger.experiment.define_metric("budget/epochs")
        logger.experiment.define_metric("training/*", step_metric="budget/epochs")
    for index, line in enumerate(lines):
        named = {f"training/{name}": value for name, value in line.items() if name != "epoch"}
        log_line(logger, {"budget/epochs": line["epoch"], **named}, index)
    if isinstance(logger, WandbLogger) and pictures.exists():
        import wandb

        logger.experiment.log({"training/grid": wandb.Image(str(pictures))})


def image_table(images: pd.DataFrame) -> "wandb.Table":
    """One line per image; of each prompt and setting the one most like its training image is shown."""
    import wandb

    best = set(images.dropna(subset=["sscd_orig"]).groupby(["setting", "target"])["sscd_orig"].idxmax())
    shown = set(sorted(best)[:PICTURES])
    frame = images.drop(columns="file").astype(object).where(images.drop(columns="file").notna(), None)
    pictures = [
        wandb.Image(file) if index in shown else None
        for index, file in zip(images.index, images["file"], strict=True)
    ]
    data = [[*line, picture] for line, picture in zip(frame.values.tolist(), pictures, strict=True)]
    return wandb.Table(columns=[*frame.columns, "image"], data=data)


def finish(logger: Logger | None, exit_code: int = 0) -> None:
    """End the job for the tracker, also a failed one: WandbLogger would reuse a run left open."""
    if logger is not None:
        logger.finalize("success" if exit_code == 0 else "failed")
    if isinstance(logger, WandbLogger):
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=exit_code)
