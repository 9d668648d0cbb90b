"""The plan: what is run, and what of it stands where."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dori.core.errors import InputError

SHOWN = ("table", "beside", "rulers", "rates", "benchmark", "answers")


@dataclass(frozen=True)
class Entry:
    """One place of a page, and the run or runs that it shows.

    Args:
        name: of the place, ``<!-- measured: NAME -->``, and of the folder of its run.
        page: relative to the checkout.
        command: what is run, without ``python -m``; of a ``dori`` job the folder is added. None: it shows
            other entries' runs.
        show: how: ``table``, what the run printed; ``rates``, its memorization rates in words; ``beside``,
            several runs line by line; ``rulers``, how two copy detectors agree on the same pictures;
            ``benchmark``, the figures that it prints last; ``answers``, the verdicts of several runs.
        of: names of the entries whose runs it shows; by default its own.
        figures: files of the run's folder, and where they go.
    """

    name: str
    page: str
    command: str | None = None
    show: str = "table"
    of: tuple[str, ...] = ()
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs that it shows."""
        return self.of or (self.name,)


def read_plan(path: Path) -> list[Entry]:
    """The entries of a plan's file.

    Raises:
        InputError: an entry that is no such thing, two of one name, or one that shows what no other runs.
    """
    entries = []
    for number, raw in enumerate(yaml.safe_load(path.read_text()), 1):
        try:
            entries.append(Entry(**{**raw, "of": tuple(raw.get("of", ()))}))
        except TypeError as error:
            raise InputError(f"{path}, entry {number}: {error}") from error
    names = [entry.name for entry in entries]
    run = {entry.name for entry in entries if entry.command}
    for entry in entries:
        if names.count(entry.name) > 1:
            raise InputError(f"{path}: two entries are called {entry.name}")
        if entry.show not in SHOWN:
            raise InputError(f"{path}: {entry.name} shows {entry.show!r}, not one of {', '.join(SHOWN)}")
        if missing := set(entry.runs) - run:
            raise InputError(f"{path}: {entry.name} shows {', '.join(sorted(missing))}, which no entry runs")
    return entries
