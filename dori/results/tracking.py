"""What goes to the experiment tracker; with Lightning's CSVLogger, the same figures as local CSV.

In W&B the names are fixed: ``{setting}/{kind}/{metric}`` in the run's summary, with ``_low``,
``_high``, ``_n`` and ``_mad`` beside it, and ``curve/{axis}/{name}`` against ``budget/{axis}``.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import wandb
from lightning.pytorch.loggers import Logger, WandbLogger

from dori.results.comparison import varying
from dori.results.curves import name_of
from dori.results.rows import Rows, plain

PICTURES = 400  # of the per-image table that carry their image; the others carry figures alone
BUDGETS = ("steps", "gradient_evaluations", "epsilon", "restarts", "epochs")


def log_results(
    logger: Logger | None, rows: Rows, images: pd.DataFrame, grid_path: Path, report_path: Path,
    config: Mapping[str, Any], tags: Sequence[str] = (),
) -> None:  # fmt: skip
    """Log a job: configuration, figures, and (W&B) the grid, the report and a table of images."""
    if logger is None:
        return
    figures = summary(rows)
    logger.log_hyperparams(flatten(config))
    if not isinstance(logger, WandbLogger):
        logger.log_metrics(figures)
        logger.save()
        return
    run = logger.experiment
    run.tags = (*(run.tags or ()), *(tag for tag in tags if tag not in (run.tags or ())))
    run.summary.update(figures)
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


def log_curve(logger: Logger | None, name: str, budget: str, points: Iterable[tuple[float, float]]) -> None:
    """Log a curve, e.g. MR over steps: (budget, value) pairs in rising order.

    Raises ValueError where ``budget`` is none of :data:`BUDGETS`.
    """
    if budget not in BUDGETS:
        raise ValueError(f"no budget axis {budget!r}; known: {', '.join(BUDGETS)}")
    if logger is None:
        return
    key, axis = f"curve/{budget}/{name}", f"budget/{budget}"
    if isinstance(logger, WandbLogger):
        logger.experiment.define_metric(axis)
        logger.experiment.define_metric(key, step_metric=axis)
    for index, (at, value) in enumerate(points):
        figures = {axis: at, key: value}
        if isinstance(logger, WandbLogger):
            logger.experiment.log(figures)
        else:
            logger.log_metrics(figures, step=index)


def log_history(logger: Logger | None, lines: Sequence[Mapping[str, float]]) -> None:
    """Log how a training went, one curve per figure over its epochs."""
    for name in sorted({name for line in lines for name in line} - {"epoch"}):
        points = [(line["epoch"], line[name]) for line in lines if name in line]
        log_curve(logger, f"training/{name}", "epochs", points)


def image_table(images: pd.DataFrame) -> wandb.Table:
    """One line per image; of each prompt and setting the one most like its training image is shown."""
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
    if wandb.run is not None:
        wandb.finish(exit_code=exit_code)
