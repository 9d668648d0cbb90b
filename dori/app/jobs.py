"""The jobs of a multirun, as they lie in its folder: which there are to be, which are done, and why not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

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


def refusal(problems: Mapping[str, Sequence[str]], count: int) -> InputError:
    """Of ``count`` jobs, what is wrong with which: jobs by what is wrong."""
    if count == 1:
        return InputError(*problems)
    told = [f"job {', '.join(jobs)}: {text}" for text, jobs in problems.items()]
    broken = len({job for jobs in problems.values() for job in jobs})
    return InputError(f"{broken} of {count} jobs cannot run, so none was begun:\n  " + "\n  ".join(told))


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
    found = {job: overrides(job) for job in job_folders(folder)}
    missing = [job for job in planned(folder) if job not in found.values()]
    shared = set.intersection(*(set(words) for words in [*found.values(), *missing])) if found else set()
    told = [
        f"job {job.name}{_said(words, shared)} {_why(job)}"
        for job, words in found.items()
        if not is_done(job)
    ]
    return [*told, *(f"job{_said(words, shared)} did not begin" for words in missing)]


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


def _said(words: list[str], shared: set[str]) -> str:
    own = " ".join(word for word in words if word not in shared)
    return f" ({own})" if own else ""


def _why(job: Path) -> str:
    if (job / FAILED).exists():
        return f"failed: {json.loads((job / FAILED).read_text())['error']}"
    return "is not finished"
