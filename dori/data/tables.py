"""Tables that people have: CSV with whatever separator, JSON lines, parquet, captions one a line.

Nothing is guessed: a prompt is taken whole, or its row is refused by its line.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dori.core.errors import InputError
from dori.core.readable import check_file
from dori.data.rows import Row, cells_of
from dori.data.separated import separated
from dori.data.texts import read_text


def read_table(path: Path) -> dict[int, Row]:
    """The rows of a table with a column ``prompt`` (``caption``, ``text``) by their places in it.

    ``.txt`` has one caption a line; other texts are CSV, JSON lines or a JSON list, in UTF-8 (or UTF-16
    with its mark), perhaps by gzip. Rows without any content are left out.

    Raises:
        InputError: no table, no rows; a row with more or fewer fields than columns; a column twice.
    """
    check_file(path, "give a CSV, JSON lines or parquet file")
    try:
        found = list(_rows(path.read_bytes(), path))
    except InputError:
        raise
    except Exception as error:  # gzip, pandas and its parquet reader raise many kinds
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    columns = list(dict.fromkeys(column for row in found for column in row.cells))
    rows = {place: row for place, row in enumerate(found) if not all(map(row.empty, row.cells))}
    if not rows or "prompt" not in columns:
        raise InputError(f"{path} needs a column 'prompt' and at least one row; has {columns}")
    return rows


def _rows(content: bytes, path: Path) -> Iterable[Row]:
    if content.startswith(b"PAR1"):
        records = pd.read_parquet(io.BytesIO(content)).to_dict("records")
        return (Row(f"row {i + 1}", cells_of(cells.items(), str(path))) for i, cells in enumerate(records))
    text = read_text(path, content)
    # by line ends alone: str.splitlines also cuts at characters that a caption may hold
    lines = [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]
    if re.match(r'\s*{\s*"', text):
        return _objects(lines, "line", path)
    if Path(path.name.removesuffix(".gz")).suffix.lower() == ".txt":
        return (Row(f"line {i + 1}", {"prompt": line.strip()}) for i, line in enumerate(lines))
    if text.lstrip().startswith("["):
        return _objects(json.loads(text, object_pairs_hook=tuple), "entry", path)
    return separated(text, path)


def _objects(items: Iterable[Any], what: str, path: Path) -> Iterator[Row]:
    """Rows of JSON objects: lines, or tuples of their pairs."""
    for i, item in enumerate(items):
        where = f"{what} {i + 1}"
        try:
            found = (
                json.loads(item.strip() or "{}", object_pairs_hook=tuple) if isinstance(item, str) else item
            )
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, {where} is no JSON ({error}): give one object a line") from error
        if not isinstance(found, tuple):
            raise InputError(f"{path}, {where} is no JSON object with a key 'prompt': {item!r:.60}")
        yield Row(where, cells_of(found, f"{path}, {where}"))
