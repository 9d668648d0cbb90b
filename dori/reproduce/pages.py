"""Places in the pages, ``<!-- measured: NAME -->`` to ``<!-- end -->``, and what is written there."""

import re
import shutil
from pathlib import Path

from dori.core.errors import InputError
from dori.core.files import write_atomically
from dori.reproduce import tables
from dori.reproduce.entries import Entry
from dori.reproduce.runs import Runs


def place_of(name: str) -> re.Pattern[str]:
    """What stands in a page for an entry."""
    return re.compile(rf"(<!-- measured: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)


def check_places(root: Path, entries: list[Entry]) -> None:
    """Raises InputError: a page that is not there, or lacks an entry's place; no run should meet it late."""
    for entry in entries:
        page = root / entry.page
        if not page.is_file() or not place_of(entry.name).search(page.read_text()):
            raise InputError(f"{page} has no place <!-- measured: {entry.name} --> … <!-- end -->")


def write_place(root: Path, entry: Entry, runs: Runs) -> None:
    """Write what the runs of an entry gave into its page, and its figures beside."""
    page = root / entry.page
    shown = getattr(tables, entry.show)(entry, runs)
    made = [said(runs, name) for name in entry.runs] if len(entry.runs) == 1 else [alike(runs, entry.runs)]
    body = "\n".join([*made, shown.strip(), ""])
    text = page.read_text()
    filled = place_of(entry.name).sub(lambda found: f"{found[1]}{body}{found[2]}", text)
    if filled != text:
        write_atomically(page, filled)
        print(f"written: {entry.page}, {entry.name}", flush=True)
    for file, goal in entry.figures.items():
        figure = runs.folder(entry.runs[0]) / file
        if not figure.is_file():
            raise InputError(f"{entry.name} drew no {file} in {figure.parent}: correct figures in the plan")
        shutil.copy(figure, root / goal)


def alike(runs: Runs, names: tuple[str, ...]) -> str:
    """Dates, versions and weights of several runs, whose commands stand in the table."""
    told = [runs.told(name) for name in names]
    dates, versions = (list(dict.fromkeys(one[key] for one in told)) for key in ("date", "version"))
    weights = dict.fromkeys(f"`{one['weights']}`" for one in told)
    return f"{', '.join(dates)}, dori {', '.join(versions)}, weights {', '.join(weights)}.\n"


def said(runs: Runs, name: str) -> str:
    """Command, date, version, weights and time of a run, in a line."""
    told = runs.told(name)
    minutes, cores = told["seconds"] / 60, told["cores"]
    took = f"{minutes:.0f} minutes" if minutes >= 10 else f"{minutes:.1f} minutes"
    return (
        f"`{told['command']}`: {told['date']}, dori {told['version']}, weights `{told['weights']}`, {took} on"
        f" {cores} core{'s' * (cores > 1)}.\n"
    )
