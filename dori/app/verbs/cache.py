"""``dori cache``: what the cache holds, by stage and age.

``dori cache needs WORDS`` tells what of it a job or a multirun takes, ``dori cache prune`` makes room.
"""

import re
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dori.core.disk import amount
from dori.core.entries import DAMAGED, remove
from dori.core.errors import InputError
from dori.core.folders import cache_folder
from dori.core.locks import locked

DAY = 86_400  # seconds
UNITS = {"h": 3_600, "d": DAY, "w": 7 * DAY}


@dataclass(frozen=True)
class Entry:
    """A stage's folder: finished, begun (``.partial``) or set aside (``.damaged``)."""

    folder: Path
    size: int
    used: float  # when it was made, or last found by a run

    @property
    def stage(self) -> str:
        """The stage's name."""
        return self.folder.parent.name

    @property
    def key(self) -> tuple[str, str]:
        """The stage's name and fingerprint."""
        return self.stage, self.folder.name

    @property
    def whole(self) -> bool:
        """Whether it is finished."""
        return not self.folder.suffix


def entries_of(root: Path) -> Iterator[Entry]:
    """Every entry of a cache, whole or not."""
    for folder in sorted(root.glob("*/*")):
        if folder.is_dir() and re.fullmatch(r"[0-9a-f]+(\.partial|\.damaged)?", folder.name):
            files = [path.stat() for path in folder.rglob("*") if path.is_file()]
            yield Entry(folder, sum(file.st_size for file in files), folder.stat().st_mtime)


def command(arguments: list[str]) -> int:
    """Raises InputError where there is no cache."""
    parser = ArgumentParser("dori cache", description=str(__doc__).replace("``", ""))
    parser.add_argument("--cache", type=Path, default=cache_folder())
    verbs = parser.add_subparsers(dest="verb")
    prune = verbs.add_parser("prune", help="remove what no run has used for so long")
    prune.add_argument(
        "--older-than", type=_seconds, required=True, metavar="30d", help="hours, days or weeks"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")
    verbs.add_parser("needs", usage="dori cache needs WORDS", help="what a command line takes of it")
    given, words = parser.parse_known_args(arguments)  # WORDS have flags of their own
    if given.verb == "needs":
        Console().print(needed(words))
        return 0
    if words:
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    root = Path(given.cache).expanduser()
    if not root.is_dir():
        raise InputError(f"there is no cache in {root}: give its folder with --cache or DORI_CACHE")
    if given.verb == "prune":
        print(pruned(root, given.older_than, given.dry_run))
    else:
        Console().print(table(root))
    return 0


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([hdw])", text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no age: write 12h, 30d or 4w")
    return int(found[1]) * UNITS[found[2]]


def table(root: Path) -> Table:
    """A line for each stage: finished entries, begun ones, bytes, and since when the oldest was not used."""
    shown = _titled(root, "finished", "begun", "size", "oldest", "newest")
    everything = list(entries_of(root))
    for stage in sorted({entry.stage for entry in everything}):
        _line(shown, stage, [entry for entry in everything if entry.stage == stage])
    shown.add_section()
    _line(shown, "all", everything)
    return shown


def needed(words: list[str]) -> Table:
    """A line for each stage of a command line's jobs: entries that they take, those that are there, bytes.

    A stage counts once however many jobs share it. What can only be known once others are computed is
    not counted.

    Raises:
        InputError: what is wrong with any of the jobs.
    """
    from dori.app.line import CommandLine
    from dori.app.verbs.planning import rehearsals

    root, taken = Path(), dict[tuple[str, str], bool]()
    for _, run, plan in rehearsals(CommandLine.read(words)):
        root = run.stages.root
        taken |= {stage.key: stage.cached for stage in plan.stages}
    own = {entry.key: entry.size for entry in entries_of(root) if entry.key in taken}
    shown = _titled(root, "needed", "there", "size")
    for stage in [*sorted({name for name, _ in taken}), None]:
        keys = [key for key in taken if stage in (key[0], None)]
        if stage is None:
            shown.add_section()
        size = amount(sum(own.get(key, 0) for key in keys))
        shown.add_row(stage or "all", str(len(keys)), str(sum(taken[key] for key in keys)), size)
    return shown


def _titled(root: Path, *columns: str) -> Table:
    shown = Table(title=str(root), title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("stage")
    for name in columns:
        shown.add_column(name, justify="right")
    return shown


def _line(shown: Table, name: str, entries: list[Entry]) -> None:
    whole, ages = sum(entry.whole for entry in entries), [time.time() - entry.used for entry in entries]
    size = amount(sum(entry.size for entry in entries))
    oldest, newest = (_age(pick(ages)) if ages else "" for pick in (max, min))
    shown.add_row(name, str(whole), str(len(entries) - whole), size, oldest, newest)


def _age(seconds: float) -> str:
    return f"{seconds / DAY:.0f} d" if seconds >= DAY else f"{seconds / 3600:.0f} h"


def pruned(root: Path, age: float, dry: bool) -> str:
    """Removes what was not used for ``age`` seconds, but for what a run is at. Says how much that was."""
    old = [entry for entry in entries_of(root) if time.time() - entry.used >= age]
    gone = [entry for entry in old if dry or _removed(entry.folder)]
    held = f"; {len(old) - len(gone)} are in use, or another user's, and stay" if len(gone) < len(old) else ""
    told = "would be removed" if dry else "removed"
    return f"{len(gone)} entries, {amount(sum(entry.size for entry in gone))}, {told}{held}"


def _removed(folder: Path) -> bool:
    try:
        with locked(folder.with_suffix(".lock"), wait=False):
            remove(folder)
    except OSError:  # somebody is at it, or it is another user's
        return False
    return not folder.with_suffix(DAMAGED).exists()
