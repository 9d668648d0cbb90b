"""CSV, whatever separates its fields: each row whole, or refused by the line at which it begins."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from dori.core.errors import InputError
from dori.data.rows import KNOWN, Row, cells_of, column_of, refuse

SEPARATORS = ",;\t|"


def separated(text: str, path: Path) -> list[Row]:
    """The rows below the first line, which names the columns; blank ones too.

    Raises:
        InputError: no column that dori knows; rows with more or fewer fields than columns; a quote that
            does not end.
    """
    separator = max(SEPARATORS, key=lambda separator: _recognised(text, separator))
    if not _recognised(text, separator)[0]:
        first = text.strip().partition("\n")[0]
        raise InputError(f"{path} needs a column 'prompt', but its first line names none: {first!r:.80}")
    (_, columns), *records = _records(text, separator, path)
    while not columns[-1].strip():  # a separator at the end of the line
        columns.pop()
    rows, problems = [], {}
    for line, fields in records:
        where, more = f"line {line}", any(fields[len(columns) :])
        if more or (any(fields) and len(fields) < len(columns)):
            problems[where] = [f"{len(fields)} fields, but the first line names {len(columns)} columns"]
        rows.append(Row(where, cells_of(zip(columns, fields, strict=False), str(path))))
    refuse(path, problems, f" (a text with {separator!r} in it stands between double quotes)")
    return rows


def _recognised(text: str, separator: str) -> tuple[int, int]:
    """How many columns a separator makes of the first line that dori knows, and how many in all."""
    lines = io.StringIO(text.lstrip("\r\n"), newline="")
    names = next(csv.reader(lines, delimiter=separator, skipinitialspace=True), [])
    return len({column_of(name) for name in names} & set(KNOWN)), len(names)


def _records(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each record from the first line on that is not blank."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    begun = False
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, line {line}: {error}; within double quotes a quote is written twice, and a text"
                " that begins with a quote stands between quotes"
            ) from error
        if begun := begun or any(fields):
            yield line, fields
