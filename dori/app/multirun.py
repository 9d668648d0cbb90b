"""The end of a multirun: the rows of its jobs in one file, one table, one plot and one report."""

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from dori.app.jobs import FAILED, is_done, job_folders, problems, write_failure
from dori.core.errors import Failure, InputError
from dori.core.files import write_atomically

# Hydra builds callbacks before every run: pandas and matplotlib are imported where they are needed.

log = logging.getLogger(__name__)


class MergeRows(Callback):
    """Hydra callback: a job that fails leaves why in its folder, and the driver merges the rows last.

    ``hydra_plugins.dori_sweeper`` sees to it that it is told of the end, whatever happens.

    Args:
        x: the parameter of the plot's axis; default, the first that differs between the rows.
    """

    def __init__(self, x: str | None = None):
        self.x = x

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Leave ``failed.json`` in the folder of a failed job, and remove that of an earlier try."""
        job = Path(config.hydra.runtime.output_dir)
        (job / FAILED).unlink(missing_ok=True)
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value  # the property would raise it
            write_failure(job, f"{type(error).__name__}: {error}")
            if config.hydra.mode == RunMode.MULTIRUN:  # of a single job, the command tells it
                tell(error, job)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if not job_folders(folder):  # refused before any job began
            return
        try:
            merge(folder, self.x, config)
        except InputError as error:
            print(f"dori: {error}", file=sys.stderr)
            raise SystemExit(2) from error
        except Exception as error:
            log.exception("the rows of %s could not be merged; its jobs' own files are whole", folder)
            raise SystemExit(1) from error


def tell(error: BaseException, job: Path) -> None:
    """Where the job ran, as soon as it failed; the sentence alone where it says all."""
    if not isinstance(error, InputError | Failure):
        traceback.print_exception(error)
    print(f"multirun: job {job.name} failed: {error}", file=sys.stderr)


def merge(folder: Path, x: str | None, config: DictConfig) -> None:
    """Merge the rows of the jobs below a folder, and log them as the multirun's configuration says."""
    if (rows := merge_folder(folder, x)) and "logger" in config:
        from dori.app.tracking import log_sweep

        log_sweep(rows, config, folder, x)


def merge_folder(folder: Path, x: str | None = None) -> list[dict[str, Any]]:
    """Merge the jobs' rows below ``folder`` into ``rows.json``, ``table.md``, ``report.html`` and figures.

    Where only budgets differ, their own figure (``budget.png``) and table stand for ``sweep.png`` and its.
    Returns the rows. Raises InputError where two jobs disagree, or ``x`` was not swept.
    """
    from rich.console import Console

    from dori.app.findings import findings
    from dori.app.report import write_sweep_report
    from dori.results.budget.lines import AXES, axis_of
    from dori.results.figures.sweep import write_sweep
    from dori.results.reading.comparison import varying
    from dori.results.reading.rows import merge, read_rows, write_rows
    from dori.results.tables.defenses import several
    from dori.results.tables.render import latex, page, show, show_verdict
    from dori.results.tables.sweep import sweep
    from dori.results.tables.table import blocks
    from dori.results.verdicts.removal import removals

    jobs = job_folders(folder)
    done, missing = [job for job in jobs if is_done(job)], problems(folder)
    for line in missing:
        print(f"multirun: {line}", file=sys.stderr)
    advice = (
        f"start again with hydra.sweep.dir={folder} to complete it, or wait for jobs that still run, and"
        f" `dori merge {folder}`"
    )
    if not done:
        print(f"multirun: no job below {folder} has rows to merge; {advice}", file=sys.stderr)
        return []
    rows = merge(read_rows(job / "rows.json") for job in done)
    write_rows(folder / "rows.json", rows)
    swept, found = varying(rows), findings(rows, x)
    told = axis_of(rows, x) is not None and set(swept) <= set(AXES)
    plotted = bool(swept) and bool(blocks(rows))  # an audit has a curve of its own alone
    if plotted and not told:
        write_sweep(folder / "sweep.png", rows, x)
    minutes = training_minutes(done)
    table = several(rows, minutes)
    if table and not plotted:
        write_atomically(folder / "table.tex", latex([table]))
    for finding in found:
        finding.write(folder / finding.file)
    write_sweep_report(folder / "report.html", rows, x, [*missing, advice] if missing else [], minutes)
    tables = [] if told else [sweep(rows, x)] if plotted else [table] if table else blocks(rows)
    answers = [verdict for _, verdict in removals(rows)]
    write_atomically(folder / "table.md", page(tables, found, answers))
    if tables:
        show(tables)
    for finding in found:
        show(finding.tables)
    for verdict in answers:
        show_verdict(verdict, Console())
    said = f"{len(done)} of {len(done) + len(missing)} jobs merged: {folder / 'report.html'}"
    if missing:
        said += f"\nThe report is incomplete: {advice}"
    Console().print(said, soft_wrap=True, highlight=False, markup=False)
    return rows


def training_minutes(jobs: list[Path]) -> dict[str, float]:
    """How long each trained model took, by its name, out of the jobs' ``timing.json``."""
    files = (job / "timing.json" for job in jobs)
    stages = [stage for file in files if file.exists() for stage in json.loads(file.read_text())]
    return {
        stage["name"].removeprefix("training: "): stage["training_seconds"] / 60
        for stage in stages if "training_seconds" in stage
    }  # fmt: skip
