"""The end of a multirun: the rows of its jobs in one file, one table, one plot and one report."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

# Hydra builds callbacks before every run: pandas and matplotlib are imported where they are needed.

log = logging.getLogger(__name__)
FAILED = "failed.json"


class MergeRows(Callback):
    """Hydra callback that merges a multirun's ``rows.json``.

    Where a job fails, Hydra's own launcher ends with that job's error and never says that the
    multirun is over; so from the first failed job on, every job's end merges what there is.

    Args:
        x: the parameter of the plot's axis; default, the first that differs between the rows.
    """

    def __init__(self, x: str | None = None):
        self.x = x
        self.any_failed = False

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Leave ``failed.json`` in the folder of a failed job, and remove that of an earlier try."""
        mark = Path(config.hydra.runtime.output_dir) / FAILED
        mark.unlink(missing_ok=True)
        if job_return.status == JobStatus.FAILED:
            self.any_failed = True
            error = job_return._return_value  # the property would raise it
            mark.write_text(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        if self.any_failed and config.hydra.mode == RunMode.MULTIRUN:
            self._merge(Path(config.hydra.sweep.dir), show_table=False)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self._merge(Path(config.hydra.sweep.dir), show_table=True, config=config)

    def _merge(self, folder: Path, show_table: bool, config: DictConfig | None = None) -> None:
        try:
            rows = merge_folder(folder, self.x, show_table)
            if config is not None and rows and "logger" in config:
                from dori.results.tracking import log_sweep

                log_sweep(rows, config, folder, self.x)
        except Exception:
            # Hydra turns a callback's error into a one-line warning: say all of it
            log.exception("the rows of %s could not be merged; its jobs' own files are whole", folder)


def merge_folder(folder: Path, x: str | None = None, show_table: bool = True) -> list[dict[str, Any]]:
    """Merge the jobs' rows below ``folder`` into its ``rows.json``, ``report.html`` and figures.

    Where only budgets differ, their own figure (``budget.png``) and table stand for ``sweep.png`` and its.
    Returns the rows. Raises InputError where two jobs disagree, or ``x`` was not swept.
    """
    from rich.console import Console

    from dori.results.budget import AXES, axis_of
    from dori.results.comparison import varying
    from dori.results.defense_table import several
    from dori.results.findings import findings
    from dori.results.paper_table import write_paper_table
    from dori.results.removal import removals
    from dori.results.render import show
    from dori.results.report import write_sweep_report
    from dori.results.rows import merge, read_rows, write_rows
    from dori.results.sweep_plot import write_sweep
    from dori.results.sweep_table import sweep
    from dori.results.table import blocks

    jobs = job_folders(folder)
    done = [job for job in jobs if (job / "rows.json").is_file() and not (job / FAILED).exists()]
    problems = [problem(job) for job in jobs if job not in done]
    for line in problems:
        print(f"multirun: {line}", file=sys.stderr)
    if not done:
        print(f"multirun: no job below {folder} has rows to merge", file=sys.stderr)
        return []
    rows = merge(read_rows(job / "rows.json") for job in done)
    write_rows(folder / "rows.json", rows)
    swept, found = varying(rows), findings(rows, x)
    told = axis_of(rows, x) is not None and set(swept) <= set(AXES)
    plotted = bool(swept)
    if plotted and not told:
        write_sweep(folder / "sweep.png", rows, x)
    minutes = training_minutes(done)
    table = several(rows, minutes)
    if table and not plotted:
        write_paper_table(folder, table)
    for finding in found:
        finding.write(folder / finding.file)
    write_sweep_report(folder / "report.html", rows, x, problems, minutes)
    if show_table:
        if not told:
            show([sweep(rows, x)] if plotted else [table] if table else blocks(rows))
        for finding in found:
            show(finding.tables)
    for _, verdict in removals(rows):
        Console().print(f"[bold]{verdict}[/bold]")
    Console().print(
        f"{len(done)} of {len(jobs)} jobs merged: {folder / 'report.html'}", soft_wrap=True, highlight=False
    )
    return rows


def job_folders(folder: Path) -> list[Path]:
    """The folders that Hydra made for the jobs, in the order of their numbers."""
    found = [path.parent.parent for path in folder.rglob(".hydra/overrides.yaml")]
    return sorted(found, key=lambda job: (len(job.name), str(job)))


def training_minutes(jobs: list[Path]) -> dict[str, float]:
    """How long each trained model took, by its name, out of the jobs' ``timing.json``."""
    files = (job / "timing.json" for job in jobs)
    stages = [stage for file in files if file.exists() for stage in json.loads(file.read_text())]
    return {
        stage["name"].removeprefix("training: "): stage["training_seconds"] / 60
        for stage in stages if "training_seconds" in stage
    }  # fmt: skip


def problem(job: Path) -> str:
    """Why a job has no rows, with its overrides."""
    lines = (job / ".hydra" / "overrides.yaml").read_text().splitlines()
    overrides = " ".join(line.removeprefix("- ") for line in lines)
    if (job / FAILED).exists():
        return f"job {job.name} ({overrides}) failed: {json.loads((job / FAILED).read_text())['error']}"
    return f"job {job.name} ({overrides}) left no rows.json; start the multirun again to complete it"
