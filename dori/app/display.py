"""What a terminal shows of a job that runs: the stages, what is left, and the time left for all of it."""

import logging
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from dori.app.course import Course, Stage, duration
from dori.app.heartbeat import Heartbeat, Journal
from dori.core.progress import Listener, told_to

BEFORE, AFTER = 4, 5  # stages that are done, and that wait, of which a line is shown
MARKS = {"waiting": "·", "running": "▸", "done": "✓", "cached": "="}


@contextmanager
def displayed(course: Course, output: Path, live: bool, *others: Listener) -> Iterator[None]:
    """Within, all stages are told: in dori.log, in the job's folder, and, ``live``, on the terminal."""
    with ExitStack() as ends:
        ends.enter_context(told_to(course))
        for listener in (Journal(course), *others):
            ends.enter_context(told_to(listener))
        ends.enter_context(Heartbeat(course, output))
        if live and sys.stdout.isatty() and multiprocessing.parent_process() is None:
            ends.enter_context(Live(get_renderable=lambda: screen(course), console=Console(), transient=True))
            ends.enter_context(_above())
        yield


@contextmanager
def _above() -> Iterator[None]:
    """What is logged meanwhile goes above the display: through the stream that it put in place."""
    handlers = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    before = [each.setStream(sys.stdout) for each in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)


def screen(course: Course) -> Table:
    """The last stages that are done, what runs, what comes next, and all of it in one bar."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=False)
    table.add_column(width=1)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=42)
    table.add_column(width=20)
    table.add_column(justify="right", no_wrap=True)
    stages = list(course.stages.items())
    done = [item for item in stages if item[1].state in ("done", "cached")]
    running = [item for item in stages if item[1].state == "running"]
    waiting = [item for item in stages if item[1].state == "waiting"]
    if len(done) > BEFORE:
        table.add_row("", f"{len(done) - BEFORE} stages before", "", "", style="dim")
    for label, stage in [*done[-BEFORE:], *running, *waiting[:AFTER]]:
        table.add_row(
            MARKS[stage.state], label, *_line(stage), style="" if stage.state == "running" else "dim"
        )
    if len(waiting) > AFTER:
        table.add_row("", f"{len(waiting) - AFTER} stages after", "", "", style="dim")
    whole = "" if course.share is None else ProgressBar(100, 100 * course.share)
    table.add_row("", "all", whole, course.said, style="bold")
    return table


def _line(stage: Stage) -> tuple[ProgressBar | str, str]:
    if stage.state == "running":
        return ProgressBar(100, 100 * stage.share), f"{stage.share:.0%}"
    if stage.state == "done":
        return "", duration(stage.seconds)
    return "", "in the cache" if stage.state == "cached" else ""
