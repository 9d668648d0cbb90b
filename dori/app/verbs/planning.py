"""``dori plan WORDS``: the stages of a job or a multirun, what is in the cache, and what the rest takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dori.app import holding
from dori.app.course import duration
from dori.app.line import CommandLine
from dori.app.needs import Need, in_cache
from dori.app.plan import Plan, pace, rehearsed, seconds
from dori.core.costs import FREE, Cost
from dori.core.disk import amount, free
from dori.core.rehearsal import Planned

if TYPE_CHECKING:
    from dori.steps.run import Run


@dataclass(frozen=True)
class Job:
    """``new``: stages that no job before it computes; ``need``: what it writes if nothing is there."""

    words: list[str]
    plan: Plan
    new: list[Planned]
    need: Need
    cache: Path

    @property
    def cost(self) -> Cost:
        return total(self.new)


def total(stages: list[Planned]) -> Cost:
    """What stages cost together."""
    found = FREE
    for stage in stages:
        found = found.and_also(stage.cost)
    return found


def rehearsals(line: CommandLine) -> Iterator[tuple[list[str], "Run", Plan]]:
    """Each job's words and parts, and the stages that can be foretold.

    Raises:
        InputError: what is wrong with any of the jobs.
    """
    from dori.app.main import configured

    for words in line.jobs:
        with line.job(words) as cfg:
            run = configured(cfg)
            yield words, run, rehearsed(run)


def command(arguments: list[str]) -> int:
    """Raises InputError for what is wrong with any of the jobs."""
    line, console = CommandLine.read(arguments), Console(highlight=False)
    jobs, known, measured, memory = list[Job](), set[tuple[str, str]](), (0.0, 0.0), None
    for words, run, plan in rehearsals(line):
        new = [stage for stage in plan.stages if not stage.cached and stage.key not in known]
        known |= {stage.key for stage in new}
        jobs.append(Job(words, plan, new, in_cache(run), run.stages.root))
        if new and not any(measured):
            memory = holding.told(run)  # first: what does not fit cannot be timed
            measured = pace(run)
    console.print(_of_stages(jobs[0], measured) if len(jobs) == 1 else _of_jobs(jobs, measured, line))
    left = sum(len(job.new) for job in jobs)
    if left:
        cost = total([stage for job in jobs for stage in job.new])
        need = sum(job.need.size for job in jobs if job.new)
        told = f"{left} stages, about {duration(seconds(cost, measured))}"
        cache = jobs[0].cache
        disk = f"at most {amount(need)} in {cache}, where {amount(free(cache))} are free"
        console.print(f"to compute: {told}; {disk}", soft_wrap=True)
        console.print(
            f"a sample through the denoiser took {1000 * measured[0]:.3g} ms, with gradient"
            f" {1000 * measured[1]:.3g} ms; what measures pictures comes on top",
            soft_wrap=True,
        )
        if memory:
            console.print(memory, soft_wrap=True)
    else:
        console.print("everything is in the cache")
    return 0


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _of_stages(job: Job, measured: tuple[float, float]) -> Table:
    table = _table("stage", "samples", "with gradient", "about")
    for stage in job.plan.stages:
        if stage.cached:
            table.add_row(escape(stage.label), "", "", "in the cache", style="dim")
        else:
            table.add_row(escape(stage.label), *_cells(stage.cost, measured))
    return table


def _of_jobs(jobs: list[Job], measured: tuple[float, float], line: CommandLine) -> Table:
    table = _table("job", "cached", "new", "samples", "with gradient", "about")
    for job in jobs:
        words = " ".join(word for word in job.words if word.split("=")[0] in line.swept)
        cached = len(job.plan.stages) - len(job.new)
        table.add_row(escape(words), str(cached), str(len(job.new)), *_cells(job.cost, measured))
    return table


def _cells(cost: Cost, measured: tuple[float, float]) -> tuple[str, str, str]:
    took = duration(seconds(cost, measured)) if cost.weight else ""
    return f"{cost.forward:,}" if cost.forward else "", f"{cost.gradient:,}" if cost.gradient else "", took
