"""A row of a user's table: its cells by the names that dori knows, and where a person finds it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dori.core.errors import InputError

KNOWN = ("prompt", "image", "kind", "changing")
# the published prompt lists say Caption, Hugging Face's folders of images file_name
ALIASES = {"caption": "prompt", "text": "prompt", "file_name": "image"}
SHOWN = 20  # broken rows


@dataclass(frozen=True)
class Row:
    """``where``: such as ``line 7``."""

    where: str
    cells: dict[str, Any]

    def empty(self, column: str) -> bool:
        """Whether a cell holds nothing, or its column is missing."""
        value = self.cells.get(column)
        if isinstance(value, str):
            return not value.strip()
        return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))

    def text(self, column: str, problems: list[str]) -> str:
        """The cell as text; where there is none, empty and one problem more."""
        value = self.cells.get(column)
        if self.empty(column):
            problems.append(f"empty {column}")
        elif not isinstance(value, str):
            problems.append(f"{column} is no text but {type(value).__name__}: {value!r:.60}")
        elif re.search("[\0\ud800-\udfff]", value):
            problems.append(f"{column} holds characters that are no text: {value!a:.60}")
        else:
            return value
        return ""


def column_of(name: object) -> str:
    """
    >>> column_of(" Caption ")
    'prompt'
    """
    lower = str(name).strip().lower()
    return ALIASES.get(lower, lower)


def cells_of(pairs: Iterable[tuple[Any, Any]], source: str) -> dict[str, Any]:
    """By column; of others than dori knows that are called alike, the first.

    Raises:
        InputError: a column that dori knows is there twice.
    """
    cells: dict[str, Any] = {}
    for name, value in pairs:
        column = column_of(name)
        if column in KNOWN and column in cells:
            names = [column, *(alias for alias, known in ALIASES.items() if known == column)]
            raise InputError(f"{source} has two of the columns {', '.join(names)}: rename one of them")
        cells.setdefault(column, value)
    return cells


def refuse(path: Path, problems: dict[str, list[str]], hint: str = "") -> None:
    """Raises InputError where a row, by where it is, has problems."""
    broken = [f"{where}: {'; '.join(found)}" for where, found in problems.items() if found]
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        lines = [f"{path} has {len(broken)} broken rows{hint}:", *broken[:SHOWN], *more]
        raise InputError("\n  ".join(lines))
