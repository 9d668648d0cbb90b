"""``rows.json`` and ``images.parquet``: the files that people script against.

A row is one (setting, kind, params). ``params`` hold every setting of every part that took part in it, called
as on the command line, the attack's without ``attack.`` (see ``dori.core.settings``): those of the study,
model, data and evaluation, ``seed`` and ``trainer.precision`` always, those of pruning, defense and attack
where the row has them. A key that is not there is null: that part had none in the row.

The same results give the same bytes: keys are sorted, floats rounded to ten significant digits,
and nothing depends on the clock. NaN and infinities become ``null``.
"""

import io
import json
import math
import numbers
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dori.core.errors import InputError
from dori.core.files import write_atomically

Row = dict[str, Any]
Rows = Sequence[Row]

DIGITS = 10  # significant; enough for every figure, few enough to hide the order of a summation
REQUIRED = ("setting", "kind", "model", "params", "metrics")


def plain(value: Any) -> Any:
    """A JSON-able copy: NumPy scalars become Python's, floats are rounded, non-finite ones None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(f"{float(value):.{DIGITS}g}") if math.isfinite(value) else None
    if hasattr(value, "item"):  # NumPy's own bool is neither of the above
        return plain(value.item())
    raise InputError(f"rows hold plain values only, not {type(value).__name__}: {value!r}; convert it")


def identity(row: Row) -> str:
    """What may occur once in a file: setting, kind and params (and model, for sweeps over models)."""
    missing = [key for key in REQUIRED if key not in row]
    if missing:
        raise InputError(f"a row lacks {', '.join(missing)}: {row!r}; see the contract of rows.json")
    return json.dumps(plain([row["setting"], row["kind"], row["model"], row["params"]]), sort_keys=True)


def dumps(rows: Rows) -> str:
    """The text of ``rows.json``, in the order given. Raises InputError where two rows are one."""
    seen: set[str] = set()
    for row in rows:
        key = identity(row)
        if key in seen:
            raise InputError(f"two rows for {key}: (setting, kind, params) must be unique; merge them")
        seen.add(key)
    return json.dumps(plain(list(rows)), sort_keys=True, indent=1, allow_nan=False) + "\n"


def write_rows(path: Path, rows: Rows) -> None:
    """Write ``rows.json`` whole or not at all."""
    write_atomically(path, dumps(rows))


def read_rows(path: Path) -> list[Row]:
    """The rows of a ``rows.json``. Raises InputError where it is not one."""
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read rows from {path}: {error}; run that job again") from error
    if not isinstance(rows, list):
        raise InputError(f"{path} holds a {type(rows).__name__}, not a list of rows; run that job again")
    for row in rows:
        identity(row)
    return rows


def merge(groups: Iterable[Rows]) -> list[Row]:
    """All rows of several jobs, in order; a row that several jobs share is kept once.

    Raises InputError where two jobs disagree about one row: what differs between them is missing
    from ``params``.
    """
    merged: dict[str, Row] = {}
    for rows in groups:
        for row in rows:
            row = plain(row)
            other = merged.setdefault(identity(row), row)
            if other != row:
                keys = sorted(set(row) | set(other))
                differing = ", ".join(key for key in keys if row.get(key) != other.get(key))
                raise InputError(
                    f"two jobs disagree about {identity(row)}: {differing} differ. Add what was "
                    "swept to params, so that the rows can be told apart"
                )
    return list(merged.values())


def write_images(path: Path, images: pd.DataFrame) -> None:
    """Write ``images.parquet``: one row per image, sorted; files inside the folder made relative."""
    frame = images.sort_values(["setting", "kind", "target", "seed"], kind="stable", ignore_index=True)
    folder = path.parent.resolve()
    frame["file"] = [_relative(Path(file), folder) for file in frame["file"]]
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_atomically(path, buffer.getvalue())


def read_images(path: Path) -> pd.DataFrame:
    """The frame that :func:`write_images` was given, with its files as absolute paths."""
    frame = pd.read_parquet(path)
    frame["file"] = [str(path.parent.resolve() / file) for file in frame["file"]]
    return frame


def at_largest_budget(images: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The images of what was not attacked, and of attacks those at the largest of several budgets.

    Returns the frame, and which budget it is, e.g. ``steps = 50, epsilon = 0.8``; empty where there is one.
    """
    several = [key for key in ("steps", "epsilon") if key in images and images[key].nunique() > 1]
    for key in several:
        images = images[images[key].isna() | (images[key] == images[key].max())]
    return images, ", ".join(f"{key} = {images[key].max():g}" for key in several)


def _relative(file: Path, folder: Path) -> str:
    whole = file.resolve()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)
