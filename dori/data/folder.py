"""Your own data: a table of prompts, image files and kinds, and a file of ordinary captions."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dori.data.targets import KINDS, Data, Ordinary, Target
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
            table = pd.read_parquet(path)
        elif path.suffix == ".txt":
            table = pd.DataFrame({"prompt": path.read_text().splitlines()})
        else:
            with path.open() as file:
                head = file.readline()
            table = pd.read_csv(path, sep=";" if head.count(";") > head.count(",") else ",")
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    table.columns = [str(column).strip().lower() for column in table.columns]
    # the published prompt lists call it Caption
    table = table.rename(columns={"caption": "prompt"})
    if table.empty or "prompt" not in table:
        raise InputError(f"{path} needs a column 'prompt' and at least one row; has {list(table.columns)}")
    return table


def _image_problem(path: Path) -> str | None:
    if not path.is_file():
        return f"image {path} does not exist"
    try:
        with Image.open(path) as image:
            image.verify()
    except Exception as error:  # PIL raises many kinds for broken files
        return f"image {path} is broken or no image: {error}"
    return None


def _targets(table: pd.DataFrame, root: Path, source: Path) -> list[Target]:
    problems, targets = [], []
    for line, row in enumerate(table.itertuples(), start=2):
        prompt, image, kind = (getattr(row, key) for key in ("prompt", "image", "kind"))
        found = []
        if not isinstance(prompt, str) or not prompt.strip():
            found.append("empty prompt")
        if kind not in KINDS:
            found.append(str(unknown("kind", str(kind), KINDS)))
        if not isinstance(image, str):
            found.append("empty image")
        elif problem := _image_problem(root / image):
            found.append(problem)
        if found:
            problems.append(f"line {line}: {'; '.join(found)}")
            continue
        changing = None
        if isinstance(mask := getattr(row, "changing", None), str):
            with Image.open(root / mask) as file:
                changing = np.asarray(file.convert("L")) > 127
        half = "held_out" if line % 2 else "development"
        name = f"{kind}/{line - 2:04d}"
        targets.append(Target(name, prompt, kind, root / image, changing=changing, half=half))
    if problems:
        raise InputError(f"{source} has {len(problems)} broken rows:\n  " + "\n  ".join(problems))
    return targets


def folder(path: str, targets: int | str, ordinary: str | None = None) -> Data:
    """Targets from the table at ``path``: columns prompt, image (relative to it), kind.

    Optional column ``changing``: a mask image, white where a template's copies differ.

    Args:
        targets: at most so many of each kind, or ``all``.
        ordinary: table of captions for quality; its column ``image`` gives FID and KID a reference.

    Raises:
        InputError: every broken row, by line.
    """
    source = Path(path)
    table = read_table(source)
    if missing := {"image", "kind"} - set(table.columns):
        raise InputError(f"{source} lacks the columns {sorted(missing)}; has {list(table.columns)}")
    everything = _targets(table, source.parent, source)
    limit = len(everything) if targets == "all" else int(targets)
    chosen = [t for kind in KINDS for t in [t for t in everything if t.kind == kind][:limit]]
    if ordinary is None:
        return Data(chosen, Ordinary([]))
    captions = read_table(Path(ordinary))
    images = [Path(ordinary).parent / name for name in captions["image"]] if "image" in captions else []
    problems = [text for image in images if (text := _image_problem(image))]
    if problems:
        raise InputError(f"{ordinary} has {len(problems)} broken rows:\n  " + "\n  ".join(problems))
    return Data(chosen, Ordinary(list(captions["prompt"].astype(str)), list(images)))
