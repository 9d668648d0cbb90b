"""Folders of pictures with their captions, in the forms that trainers write and read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dori.core.errors import InputError
from dori.data.rows import refuse
from dori.data.tables import read_table

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif"}
TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")  # datasets' imagefolder
BESIDE = (".txt", ".caption")  # kohya's sd-scripts
REPEATED = re.compile(r"(\d+)_(.+)")  # of a folder's name: how often its pictures are shown, and as what


@dataclass(frozen=True)
class Captioned:
    """A picture's file, and what it is called where somebody said it; ``source``: where."""

    path: Path
    caption: str | None
    source: str


def captioned(path: Path) -> list[Captioned]:
    """The pictures of a table with the columns ``image`` and ``prompt``, or of all that lies below a folder.

    A caption is what says most of one picture: a row of a ``metadata`` table above it, the first line of a
    text file beside it that has its name, the phrase in the name of a folder such as ``10_sks dog``.

    Raises:
        InputError: nothing there, no picture in it, or a table with broken rows.
    """
    if path.is_file():
        return _of_table(path)
    if not path.is_dir():
        raise InputError(f"{path} does not exist: give a folder of pictures, or a table that names them")
    told = {row.path: row for table in _below(path) if table.name in TABLES for row in _of_table(table)}
    files = [file for file in _below(path) if file.suffix.lower() in PICTURES]
    found = [told.get(file) or _beside(file, path) for file in files]
    gone = [row for file, row in told.items() if not file.exists()]  # listed as broken later
    if not found:
        raise InputError(f"{path} has no pictures ({', '.join(sorted(PICTURES))}): check the folder")
    return [*found, *gone]


def picture_files(path: Path) -> list[Path]:
    """All pictures below a folder, in the order of their names.

    Raises:
        InputError: no such folder, or none in it.
    """
    return [each.path for each in captioned(path)]


def _below(folder: Path) -> Iterator[Path]:
    """Files, without hidden ones such as macOS leaves."""
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file


def _of_table(table: Path) -> list[Captioned]:
    rows = list(read_table(table).values())
    problems: dict[str, list[str]] = {row.where: [] for row in rows}
    found = [
        Captioned(
            table.parent / row.text("image", problems[row.where]).strip(),
            row.text("prompt", problems[row.where]), f"{table}, {row.where}",
        )
        for row in rows
    ]  # fmt: skip
    refuse(table, problems)
    return found


def _beside(file: Path, root: Path) -> Captioned:
    for suffix in BESIDE:
        text = file.with_suffix(suffix)
        lines = text.read_text(errors="replace").splitlines() if text.is_file() else []
        if lines and lines[0].strip():
            return Captioned(file, lines[0].strip(), str(text))
    for folder in [parent for parent in file.parents if parent == root or root in parent.parents]:
        if named := REPEATED.fullmatch(folder.name):
            return Captioned(file, named[2].replace("_", " ").strip(), str(folder))
    return Captioned(file, None, str(file))
