"""Your own data: a table of prompts, image files and kinds, and a file of ordinary captions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from dori.data.targets import KINDS, Data, Ordinary, Target, Training
from dori.errors import InputError, unknown


def read_table(path: Path) -> pd.DataFrame:
    """A CSV (``,`` or ``;``), a parquet file or a text file of one caption per line.

    Raises:
        InputError: it is missing, unreadable or empty.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a CSV or parquet file")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).reset_index(drop=True)
        elif path.suffix == ".txt":
            lines = pd.DataFrame({"prompt": path.read_text().splitlines()})
            lines.index -= 1  # it has no header
            table = lines[lines.prompt.str.strip() != ""]
        else:
            with path.open() as file:
                head = file.readline()
            # as text: to pandas, "None" is an empty cell and "1984" a number
            table = pd.read_csv(
                path, sep=";" if head.count(";") > head.count(",") else ",", dtype=str, index_col=False,
                keep_default_na=False, na_values=[""], skip_blank_lines=False,
            ).dropna(how="all")  # fmt: skip
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    table.columns = [str(column).strip().lower() for column in table.columns]
    # the published prompt lists call it Caption
    table = table.rename(columns={"caption": "prompt"})
    if table.empty or "prompt" not in table:
        raise InputError(f"{path} needs a column 'prompt' and at least one row; has {list(table.columns)}")
    return table


def _prompt_problem(prompt: object) -> list[str]:
    return [] if isinstance(prompt, str) and prompt.strip() else ["empty prompt"]


def _image_problem(root: Path, name: object, what: str = "image") -> list[str]:
    if not isinstance(name, str):
        return [f"empty {what}"]
    if not (root / name).is_file():
        return [f"{what} {root / name} does not exist"]
    try:
        with Image.open(root / name) as image:
            image.load()  # verify() lets a cut JPEG pass
    except Exception as error:  # PIL raises many kinds for broken files
        return [f"{what} {root / name} is broken or no image: {error}"]
    return []


def _refuse(source: Path, problems: Mapping[Any, list[str]]) -> None:
    """Raises InputError where a row, by its place in the table, has problems."""
    if broken := [f"line {place + 2}: {'; '.join(found)}" for place, found in problems.items() if found]:
        raise InputError(f"{source} has {len(broken)} broken rows:\n  " + "\n  ".join(broken))


def _targets(table: pd.DataFrame, root: Path, source: Path) -> list[Target]:
    problems: dict[Any, list[str]] = {}
    for place, row in zip(table.index, table.itertuples(), strict=True):
        problems[place] = _prompt_problem(row.prompt)
        if row.kind not in KINDS:
            problems[place].append(str(unknown("kind", str(row.kind), KINDS)))
        problems[place] += _image_problem(root, row.image)
        if isinstance(mask := getattr(row, "changing", None), str):
            problems[place] += _image_problem(root, mask, "mask")
    _refuse(source, problems)
    targets = []
    for place, row in zip(table.index, table.itertuples(), strict=True):
        changing = None
        if isinstance(mask := getattr(row, "changing", None), str):
            with Image.open(root / mask) as file:
                changing = np.asarray(file.convert("L")) > 127
        half = "held_out" if place % 2 else "development"
        name, image = f"{row.kind}/{place:04d}", root / str(row.image)
        line = f"{source}, line {place + 2}"
        targets.append(Target(name, str(row.prompt), str(row.kind), image, (), changing, half, source=line))
    return targets


def _ordinary(source: Path) -> Ordinary:
    table = read_table(source)
    problems = {place: _prompt_problem(prompt) for place, prompt in table.prompt.items()}
    sources = [f"{source}, line {place + 2}" for place in table.index]
    if "image" not in table:
        _refuse(source, problems)
        return Ordinary(list(table.prompt), sources=sources)
    for place, name in table.image.items():
        problems[place] += _image_problem(source.parent, name)
    _refuse(source, problems)
    return Ordinary(list(table.prompt), [source.parent / name for name in table.image], sources)


def _training(source: Path) -> Training:
    pairs = _ordinary(source)
    if not pairs.images:
        raise InputError(f"data.training {source} needs a column 'image' beside its captions")
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
        InputError: every broken row, by line.
    """
    source = Path(path)
    table = read_table(source)
    if missing := {"image", "kind"} - set(table.columns):
        raise InputError(f"{source} lacks the columns {sorted(missing)}; has {list(table.columns)}")
    if targets != "all" and not (isinstance(targets, int) and targets >= 1):
        raise InputError(f"data.targets must be 1 or more, or all, but is {targets!r}")
    everything = _targets(table, source.parent, source)
    limit = len(everything) if targets == "all" else int(targets)
    chosen = [t for kind in KINDS for t in [t for t in everything if t.kind == kind][:limit]]
    everyday = Ordinary([]) if ordinary is None else _ordinary(Path(ordinary))
    return Data(chosen, everyday, everyday.captions, None if training is None else _training(Path(training)))
