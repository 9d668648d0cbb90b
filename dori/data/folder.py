"""Your own data: a table of prompts, image files and kinds, and a file of ordinary captions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dori.core.errors import InputError, unknown
from dori.data.pictures import digest, read_mask, read_picture
from dori.data.repeats import check_apart, check_repeats
from dori.data.rows import Row, refuse
from dori.data.tables import read_table
from dori.data.targets import KINDS, Data, Ordinary, Target, Training, check_count, first_of_each


@contextmanager
def _noted(problems: list[str], what: str) -> Iterator[None]:
    """What is refused inside is one problem more."""
    try:
        yield
    except InputError as error:
        problems.append(f"{what} {error}")


def _picture(row: Row, column: str, source: Path, problems: list[str]) -> Path:
    """The file that a cell names, relative to its table."""
    name = row.text(column, problems).strip()
    path = source.parent / os.path.expanduser(name)
    if "\\" in name and not os.path.exists(path):
        path = source.parent / name.replace("\\", "/")  # as Windows writes it
    if "://" in name:
        problems.append(f"{column} {name} is an address: download it, and give the file")
    elif name:
        with _noted(problems, column):
            digest(path)  # decoded once, here, so that a cut file is found before any work
    return path


def _targets(source: Path) -> list[Target]:
    rows = read_table(source)
    columns = {column: None for row in rows.values() for column in row.cells}
    if missing := {"image", "kind"} - set(columns):
        raise InputError(f"{source} lacks the columns {sorted(missing)}; has {list(columns)}")
    problems: dict[str, list[str]] = {row.where: [] for row in rows.values()}
    targets = []
    for place, row in rows.items():
        found, changing = problems[row.where], None
        prompt, kind = row.text("prompt", found), row.text("kind", found).strip()
        if kind and kind not in KINDS:
            found.append(str(unknown("kind", kind, KINDS)))
        image = _picture(row, "image", source, found)
        if not found and not row.empty("changing"):
            mask = _picture(row, "changing", source, found)
            with _noted(found, "changing"):
                changing = None if found else read_mask(mask, read_picture(image).shape[:2])
        half = "held_out" if place % 2 else "development"
        name, line = f"{kind}/{place:04d}", f"{source}, {row.where}"
        targets.append(Target(name, prompt, kind, image, (), changing, half, source=line))
    refuse(source, problems)
    check_repeats(targets)
    return targets


def _ordinary(source: Path) -> Ordinary:
    rows = list(read_table(source).values())
    problems: dict[str, list[str]] = {row.where: [] for row in rows}
    captions = [row.text("prompt", problems[row.where]) for row in rows]
    images = []
    if any("image" in row.cells for row in rows):
        images = [_picture(row, "image", source, problems[row.where]) for row in rows]
    refuse(source, problems)
    return Ordinary(captions, list(images), [f"{source}, {row.where}" for row in rows])


def training_of(source: Path, ordinary: Ordinary) -> Training:
    """What a defense trains with, from a table. Raises InputError, also for pictures of ``ordinary``."""
    pairs = _ordinary(source)
    if not pairs.images:
        raise InputError(f"data.training {source} needs a column 'image' beside its captions")
    check_apart(pairs, ordinary)
    return Training(lambda: pairs, len(pairs.images), pairs.identity)


def folder(path: str, targets: int | str, ordinary: str | None = None, training: str | None = None) -> Data:
    """Targets from the table at ``path``: columns prompt, image (relative to it), kind.

    Optional column ``changing``: a mask image, white where a template's copies differ.

    Args:
        targets: at most so many of each kind, or ``all``.
        ordinary: table of captions for quality; its column ``image`` gives FID and KID a reference.
        training: table of captions and images such as the model was trained on, for a defense to
            train with; other ones than ``ordinary``.

    Raises:
        InputError: every broken row, by line; see also ``read_table``, ``check_repeats``.
    """
    check_count(targets)
    chosen = first_of_each(_targets(Path(path)), targets)
    everyday = Ordinary([]) if ordinary is None else _ordinary(Path(ordinary))
    seen = None if training is None else training_of(Path(training), everyday)
    return Data(chosen, everyday, everyday.captions, seen)
