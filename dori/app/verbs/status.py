"""``dori status FOLDER``: the jobs of a multirun, or one job: done, running, failed, waiting."""

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dori.app.course import duration
from dori.app.heartbeat import EVERY, PROGRESS
from dori.app.jobs import FAILED, is_done, job_folders, overrides, planned
from dori.core.errors import InputError

SILENT = 5 * EVERY  # seconds without a heartbeat after which a job is taken for gone


def command(arguments: list[str]) -> int:
    """Returns 1 where a job failed or is gone. Raises InputError for a folder without jobs."""
    if len(arguments) != 1:
        raise InputError("give one folder: dori status FOLDER, of a multirun or of a job")
    folder = Path(arguments[0])
    found = {job: overrides(job) for job in job_folders(folder)}
    waiting = [words for words in planned(folder) if words not in found.values()]
    if not found and not waiting:
        raise InputError(f"there are no jobs in {folder}; give the folder of a multirun or of a job")
    everything = [set(words) for words in [*found.values(), *waiting]]
    shared = set.intersection(*everything) if len(everything) > 1 else set()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    states = []
    for job, words in found.items():
        states.append(state_of(job, time.time()))
        name = "" if job == folder else str(job.relative_to(folder))
        table.add_row(name, states[-1][0], _own(words, shared), states[-1][1])
    for words in waiting:
        states.append(("waiting", ""))
        table.add_row("", "waiting", _own(words, shared), "")
    Console(highlight=False).print(table)
    counted = [state for state, _ in states]
    print(", ".join(f"{counted.count(state)} {state}" for state in dict.fromkeys(counted)))
    return int(any(state in ("failed", "gone") for state in counted))


def _own(words: list[str], shared: set[str]) -> str:
    return " ".join(word for word in words if word not in shared)


def state_of(job: Path, now: float) -> tuple[str, str]:
    """What becomes of a job, and how far it is or why it is not."""
    if is_done(job):
        return "done", ""
    if (job / FAILED).exists():
        return "failed", str(json.loads((job / FAILED).read_text())["error"])
    if not (job / PROGRESS).exists():
        return "begun", ""
    told: dict[str, Any] = json.loads((job / PROGRESS).read_text())
    at = f"{told['stage']}, {told['share']:.0%} of the job"
    if now - told["at"] > SILENT:
        return "gone", f"{at}, last heard of {duration(now - told['at'])} ago"
    left = told.get("left")
    return "running", at if left is None else f"{at}, about {duration(left)} left"
