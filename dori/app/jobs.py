"""The jobs of a multirun, as they lie in its folder: which there are to be, which are done, and why not."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from dori.core.errors import InputError
from dori.core.files import write_atomically

FAILED = "failed.json"
PLANNED = "jobs.json"


def write_jobs(folder: Path, jobs: list[list[str]]) -> None:
    """What there is to do, as a list of overrides for each job: a driver that is gone cannot say it."""
    write_atomically(folder / PLANNED, json.dumps(jobs, indent=1) + "\n")


def write_failure(job: Path, why: str) -> None:
    """Leave in a job's folder why it failed."""
    job.mkdir(parents=True, exist_ok=True)
    write_atomically(job / FAILED, json.dumps({"error": why}) + "\n")


def with_one_of(groups: Sequence[str], jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The jobs whose overrides set at most one of the groups to something else than ``none``.

    >>> with_one_of(["pruning", "defense"], [["pruning=a", "defense=none"], ["pruning=a", "defense=esd"]])
    [['pruning=a', 'defense=none']]

    Raises:
        InputError: there is none.
    """

    def taken(job: Sequence[str]) -> int:
        pairs = (word.split("=", 1) for word in job)
        return sum(pair[0] in groups and pair[1] not in ("none", "null") for pair in pairs)

    found = [list(job) for job in jobs if taken(job) <= 1]
    if jobs and not found:
        raise InputError(
            f"no job is left: each has several of {', '.join(groups)}, and may have one here: set the others"
            " to none"
        )
    return found


def check_all(
    jobs: Sequence[list[str]], opened: Callable[[list[str]], AbstractContextManager[DictConfig]],
    look: Callable[[DictConfig], Any],
) -> None:  # fmt: skip
    """``look`` at every job's configuration, which ``opened`` makes of its overrides.

    Raises:
        InputError: all that is wrong, and with which jobs.
    """
    problems: dict[str, list[str]] = {}
    for place, words in enumerate(jobs):
        try:
            with opened(words) as cfg:
                look(cfg)
        except InputError as error:
            problems.setdefault(str(error), []).append(str(place))
    if not problems:
        return
    if len(jobs) == 1:
        raise InputError(*problems)
    told = [f"job {', '.join(places)}: {text}" for text, places in problems.items()]
    broken = sum(map(len, problems.values()))
    raise InputError(f"{broken} of {len(jobs)} jobs cannot run, so none was begun:\n  " + "\n  ".join(told))


def job_folders(folder: Path) -> list[Path]:
    """The folders that were made for the jobs, in the order of their numbers."""
    found = {path.parent.parent for path in folder.rglob(".hydra/overrides.yaml")}
    found |= {path.parent for path in folder.glob(f"*/{FAILED}")}  # one that never began
    return sorted(found, key=lambda job: (len(job.name), str(job)))


def is_done(job: Path) -> bool:
    """Whether a job has its rows, and no later try of it failed."""
    return (job / "rows.json").is_file() and not (job / FAILED).exists()


def problems(folder: Path) -> list[str]:
    """Why jobs are not done, in a sentence each: with the overrides that not all jobs share."""
    told = []
    for job, own in listed(folder):
        which = f"job {job.name}" if job else "job"
        which += f" ({own})" if own else ""
        if job is None:
            told.append(f"{which} did not begin")
        elif not is_done(job):
            why = failure(job)
            told.append(f"{which} is not finished" if why is None else f"{which} failed: {why}")
    return told


def listed(folder: Path) -> list[tuple[Path | None, str]]:
    """Every job with the overrides that not all share; last, without a folder, those that did not begin."""
    begun = [(job, overrides(job)) for job in job_folders(folder)]
    words = [words for _, words in begun]
    waiting = [(None, job) for job in planned(folder) if job not in words]
    everything = [*begun, *waiting]
    shared = set.intersection(*(set(words) for _, words in everything)) if everything else set()
    return [(job, " ".join(word for word in words if word not in shared)) for job, words in everything]


def failure(job: Path) -> str | None:
    """Why a job failed; None where it did not."""
    file = job / FAILED
    return str(json.loads(file.read_text())["error"]) if file.exists() else None


def overrides(job: Path) -> list[str]:
    """What the command line of a job was; nothing where nobody knows."""
    file = job / ".hydra" / "overrides.yaml"
    if file.exists():
        return [str(word) for word in yaml.safe_load(file.read_text())]
    jobs = planned(job.parent)
    return jobs[int(job.name)] if job.name.isdecimal() and int(job.name) < len(jobs) else []


def planned(folder: Path) -> list[list[str]]:
    """The overrides of each job that there is to be."""
    file = folder / PLANNED
    return json.loads(file.read_text()) if file.exists() else []
