"""``dori status FOLDER``: the jobs of a multirun, or one job: done, running, stopped, failed, waiting."""

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dori.app.course import duration
from dori.app.heartbeat import EVERY, PROGRESS
from dori.app.jobs import failure, is_done, listed, overrides
from dori.core.errors import InputError

SILENT = 5 * EVERY  # seconds without a heartbeat after which a job is taken for gone


def command(arguments: list[str]) -> int:
    """Returns 1 where a job failed, was stopped or is gone. Raises InputError for a folder without jobs."""
    if len(arguments) != 1:
        raise InputError("give one folder: dori status FOLDER, of a multirun or of a job")
    folder = Path(arguments[0])
    jobs = listed(folder)
    if not jobs:
        raise InputError(
            f"there are no jobs in {folder}, or not yet: a multirun checks all before the first begins;"
            " give the folder of a multirun or of a job"
        )
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    states = []
    for job, own in jobs:
        state, more = state_of(job, time.time()) if job else ("waiting", "")
        name = str(job.relative_to(folder)) if job and job != folder else ""
        told = " ".join(overrides(job)) if job and len(jobs) == 1 else own  # nothing sets one job apart
        table.add_row(name, state, told, more)
        states.append(state)
    Console(highlight=False).print(table)
    print(", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
    return int(any(state in ("failed", "stopped", "gone") for state in states))


def state_of(job: Path, now: float) -> tuple[str, str]:
    """What becomes of a job, and how far it is or why it is not."""
    if is_done(job):
        return "done", ""
    if (why := failure(job)) is not None:
        return "failed", why
    if not (job / PROGRESS).exists():
        return "begun", ""
    told: dict[str, Any] = json.loads((job / PROGRESS).read_text())
    at = ", ".join(part for part in (told["stage"], told["said"]) if part)
    if told["ended"]:
        return "stopped", f"{at}; the same command goes on"
    if now - told["at"] > SILENT:
        return "gone", f"{at}, last heard of {duration(now - told['at'])} ago"
    return "running", at
