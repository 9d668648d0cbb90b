"""What goes to the experiment tracker; with Lightning's CSVLogger, the same figures as local CSV.

Names are those of ``dori.app.summary``, and ``curve/{name}`` against ``budget/{axis}`` where an attack has
several budgets.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig

from dori.app.course import Course
from dori.app.curves import log_curve, log_curves, log_line
from dori.app.opening import staged_in
from dori.app.summary import summary
from dori.core.fingerprints import fingerprint
from dori.core.progress import Listener
from dori.results.budget.lines import curves, label
from dori.results.reading.rows import Rows

if TYPE_CHECKING:
    import wandb

PAUSE = 10  # seconds between two times that progress is told
PICTURES = 400  # of the per-image table that carry their image; the others carry figures alone


def log_results(
    logger: Logger | None, rows: Rows, images: pd.DataFrame, grid_path: Path, report_path: Path
) -> None:
    """Log a job's figures, and (W&B) the grid, the report and a table of images."""
    if logger is None:
        return
    values = summary(rows)
    log_curves(logger, rows)
    if not isinstance(logger, WandbLogger):
        logger.log_metrics(values)
        logger.save()
        return
    import wandb  # only where it is used: it takes most of a second

    logger.experiment.summary.update(values)
    logger.experiment.log(
        {
            "grid": wandb.Image(str(grid_path)),
            "report": wandb.Html(report_path.read_text(), inject=False),
            "images": image_table(images),
        }
    )


def log_pages(logger: Logger | None, rows: Rows, report: Path) -> None:
    """The same of a study with a report of its own: figures, and (W&B) that report."""
    if logger is None:
        return
    if not isinstance(logger, WandbLogger):
        logger.log_metrics(summary(rows))
        logger.save()
        return
    import wandb

    logger.experiment.summary.update(summary(rows))
    logger.experiment.log({"report": wandb.Html(report.read_text(), inject=False)})


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
            project=config.logger.project, name=name, group=folder.name, job_type="sweep", save_dir=folder,
            id=fingerprint([config.name, name, rows[0]["fingerprint"]]), offline=config.logger.offline,
        )  # fmt: skip
        logger.log_hyperparams({"mitigation": curve.mitigation, "attack": curve.attack, **curve.others})
        log_curve(logger, replace(curve, others={}))
        logger.experiment.log({"report": wandb.Html((folder / "report.html").read_text(), inject=False)})
        finish(logger)


class Tracked(Listener):
    """A listener: while the job runs, its stages, its progress, and how a training goes, epoch by epoch."""

    def __init__(self, logger: Logger, course: Course):
        self.logger, self.course = logger, course
        self.said, self.epochs = 0.0, set[float]()
        if isinstance(logger, WandbLogger):
            logger.experiment.define_metric("budget/epochs")
            logger.experiment.define_metric("training/*", step_metric="budget/epochs")

    def begun(self, labels: Sequence[str]) -> None:
        self._tell()

    def advanced(self, share: float) -> None:
        if time.monotonic() - self.said > PAUSE:
            self._tell()

    def ended(self, labels: Sequence[str], cached: bool) -> None:
        self._tell()

    def looked(self, line: Mapping[str, float]) -> None:
        log_epoch(self.logger, line)
        self.epochs.add(line["epoch"])

    def _tell(self) -> None:
        if isinstance(self.logger, WandbLogger):
            self.said = time.monotonic()
            done = sum(stage.state in ("done", "cached") for stage in self.course.stages.values())
            share = {} if self.course.share is None else {"progress/share": self.course.share}
            self.logger.experiment.log({**share, "progress/stages": done})
            self.logger.experiment.summary["progress/stage"] = self.course.now


def log_epoch(logger: Logger, line: Mapping[str, float]) -> None:
    """An epoch of a training: ``training/{figure}`` against ``budget/epochs``."""
    named = {f"training/{name}": value for name, value in line.items() if name != "epoch"}
    log_line(logger, {"budget/epochs": line["epoch"], **named}, int(line["epoch"]))


def log_history(
    logger: Logger | None, lines: Sequence[Mapping[str, float]], pictures: Path,
    told: Collection[float] = (),
) -> None:  # fmt: skip
    """How a training went, but for the epochs that were ``told`` when they came; its pictures."""
    if logger is None:
        return
    for line in lines:
        if line["epoch"] not in told:
            log_epoch(logger, line)
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
