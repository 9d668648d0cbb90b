"""Published lists of prompts: where they lie, and what each row asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from dori.core.errors import InputError, unknown
from dori.core.fingerprints import digest_file, fingerprint
from dori.data.rows import Row, refuse
from dori.data.tables import read_table
from dori.data.targets import KINDS


@dataclass(frozen=True)
class Entry:
    """A row of a list.

    Args:
        place: its number, from 0.
        address: of its picture; empty where the list names none.
        index: its name in the data set that the list was taken from; empty where there is none.
        mask: white where a template's copies differ, where the list names one in a column ``changing``.
        source: where a person finds the row.
    """

    place: int
    prompt: str
    kind: str
    address: str
    index: str
    mask: Path | None
    source: str


@dataclass(frozen=True)
class Listing:
    """A table of prompts that somebody published, with the addresses of their pictures.

    Args:
        table: its address, ``#sha256=`` and its hash behind it; or a file that you have.
        kinds: what all its rows are; or what each label means, null where it leaves a row out.
        column: of the labels.
        addresses: columns other than ``url`` in which rows of a label have their picture's address.
    """

    table: str
    kinds: str | Mapping[str, str | None]
    column: str = "kind"
    addresses: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = [self.kinds] if isinstance(self.kinds, str) else self.kinds.values()
        for kind in named:
            if kind is not None and kind not in (*KINDS, "ordinary"):
                raise unknown("kind", kind, (*KINDS, "ordinary"))

    @property
    def address(self) -> str | None:
        """Where it is published, without the hash; None of a file."""
        return self.table.partition("#")[0] if "://" in self.table else None

    @property
    def sha256(self) -> str | None:
        """Its SHA-256, where that is known."""
        return self.table.partition("#sha256=")[2] or None

    def file(self, folder: Path) -> Path:
        """Where it lies, or will lie: what is fetched, in ``folder``."""
        if self.address is None:
            return Path(self.table).expanduser()
        return folder / f"{fingerprint(self.address)[:8]}-{Path(urlsplit(self.address).path).name}"

    def entries(self, folder: Path, hint: str) -> list[Entry]:
        """Its rows.

        Args:
            folder: where fetched lists lie.
            hint: what to do where it is not there.

        Raises:
            InputError: it was not fetched; it is not as it was published; every broken row, by line.
        """
        file = self.file(folder)
        if self.address and not file.is_file():
            raise InputError(f"{self.address} is not at hand: {hint}")
        rows = read_table(file)
        if self.address and self.sha256 not in (None, digest_file(file)):
            raise InputError(
                f"{file} is not what was published (sha256 {self.sha256}): remove it, and {hint}"
            )
        problems: dict[str, list[str]] = {row.where: [] for row in rows.values()}
        read = [self._entry(place, row, file, problems[row.where]) for place, row in rows.items()]
        refuse(file, problems)
        return [entry for entry in read if entry is not None]

    def _entry(self, place: int, row: Row, file: Path, problems: list[str]) -> Entry | None:
        prompt, label = row.text("prompt", problems), ""
        if isinstance(self.kinds, str):
            kind: str | None = self.kinds
        else:
            label = row.text(self.column, problems).strip()
            kind = self.kinds.get(label)
            if label and label not in self.kinds:
                problems.append(str(unknown(self.column, label, self.kinds)))
        if kind is None:
            return None
        address = _first(row.cells.get(self.addresses.get(label, "url")))
        index, mask = _first(row.cells.get("index")), _first(row.cells.get("changing"))
        where = f"{file}, {row.where}"
        return Entry(place, prompt, kind, address, index, file.parent / mask if mask else None, where)


def _first(cell: Any) -> str:
    """A cell as text; of a list in a parquet file, the first; empty where there is nothing."""
    if isinstance(cell, list | np.ndarray):
        cell = next(iter(cell), None)
    return "" if cell is None or cell != cell else str(cell).strip()
