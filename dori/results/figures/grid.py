"""The picture that shows it: a row per target, the training image beside what each setting draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from dori.results.figures.style import INK, LINE, QUIET, REPLICA, font, wrap
from dori.results.reading.comparison import Comparison, comparisons
from dori.results.reading.estimate import number
from dori.results.reading.rows import Rows, at_largest_budget
from dori.results.reading.words import KINDS, KINDS_SHORT, rank

THRESHOLD = 0.7
CELL = 192  # pixels; three times the side of minnow's pictures
GAP, FRAME, LABEL, HEAD, SCORE = 16, 5, 196, 96, 24
ROWS = {"verbatim": 6, "template": 2, "seen": 1, "unseen": 2}  # shown of each kind


@dataclass(frozen=True)
class Column:
    """A setting with its two lines of heading; ``training`` stands for the training image."""

    setting: str
    title: str
    subtitle: str


def columns(c: Comparison) -> list[Column]:
    """Training image, original, mitigated, recovered, and recovered from the twin, where there."""
    found = [Column("training", "training image", "or control picture")]
    found.append(Column("original", "original model", "the caption alone"))
    if c.mitigation != "original":
        found.append(Column(c.mitigation, c.mitigation, "mitigated, same caption"))
    if c.attack:
        found.append(Column(c.attacked, c.attacked.replace("+", " + "), "attacked"))
        if any(row["setting"] == c.attacked_twin for row in c.rows):
            found.append(Column(c.attacked_twin, f"twin + {c.attack}", "never saw it, attacked"))
    return found


def write_grid(
    path: Path, rows: Rows, images: pd.DataFrame, targets: Sequence[Mapping[str, Any]],
    threshold: float = THRESHOLD, shown: Mapping[str, int] = ROWS,
) -> None:  # fmt: skip
    """Write the grid of a run as PNG: the first ``shown[kind]`` targets of each kind, unselected.

    ``targets`` have ``name``, ``prompt``, ``kind`` and ``image`` (PIL or uint8, H × W × 3). Every
    cell is the seed with the highest SSCD to the training image; of several budgets, the largest.
    """
    heads = columns(comparisons(rows)[0])
    chosen = _choose(targets, shown)
    images, budget = at_largest_budget(images)
    best = _best(images)
    width = LABEL + len(heads) * (CELL + GAP) + GAP
    height = HEAD + len(chosen) * (CELL + SCORE + GAP) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    note = f"Of all seeds, the one most like the training image; framed where SSCD > {threshold} (a copy)"
    draw.text((GAP, 10), f"{note}; attacks at {budget}" if budget else note, QUIET, font(16))
    for index, head in enumerate(heads):
        x = LABEL + GAP + index * (CELL + GAP)
        draw.text((x, 42), head.title, INK, font(17, bold=True))
        draw.text((x, 66), head.subtitle, QUIET, font(14))
    for line, target in enumerate(chosen):
        y = HEAD + line * (CELL + SCORE + GAP)
        if line and target["kind"] != chosen[line - 1]["kind"]:
            draw.line((GAP, y - GAP / 2 - 2, width - GAP, y - GAP / 2 - 2), LINE, 2)
        label(draw, target, y)
        for index, head in enumerate(heads):
            x = LABEL + GAP + index * (CELL + GAP)
            if head.setting == "training":
                sheet.paste(fit(picture(target["image"])), (x, y))
            else:
                _cell(sheet, draw, best.get((head.setting, target["name"])), (x, y), threshold)
    sheet.save(path)


def _choose(targets: Sequence[Mapping[str, Any]], shown: Mapping[str, int]) -> list[Mapping[str, Any]]:
    kinds = sorted({target["kind"] for target in targets}, key=lambda kind: rank(KINDS, kind))
    groups = ([t for t in targets if t["kind"] == kind][: shown.get(kind, 0)] for kind in kinds)
    return [target for group in groups for target in group]


@dataclass(frozen=True)
class Shot:
    """The image of a cell; ``frame`` is NaN where its target is no template."""

    score: float
    frame: float
    file: str


def _best(images: pd.DataFrame) -> dict[tuple[str, str], Shot]:
    """(setting, target) → the seed with the highest SSCD."""
    scored = images.dropna(subset=["sscd_orig"])
    top = scored.loc[scored.groupby(["setting", "target"])["sscd_orig"].idxmax()]
    return {
        (row["setting"], row["target"]): Shot(row["sscd_orig"], row["sscd_frame"], row["file"])
        for row in top.to_dict("records")
    }


def _cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, shot: Shot | None, at: tuple[int, int], threshold: float
) -> None:
    x, y = at
    if shot is None:
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=LINE)
        draw.text((x + CELL / 2, y + CELL / 2), "not run", QUIET, font(14), anchor="mm")
        return
    with Image.open(shot.file) as image:
        scored(sheet, draw, image.convert("RGB"), shot.score, at, threshold)
    if not np.isnan(shot.frame):
        right, framed = (x + CELL, y + CELL + FRAME + 2), shot.frame > threshold
        colour = REPLICA if framed else QUIET
        draw.text(right, f"frame {number(shot.frame)}", colour, font(15, bold=framed), anchor="ra")


def scored(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, image: Image.Image, score: float, at: tuple[int, int],
    threshold: float,
) -> None:  # fmt: skip
    """A picture with its SSCD below, framed where it is a copy."""
    (x, y), copy = at, score > threshold
    sheet.paste(fit(image), at)
    if copy:
        box = (x - FRAME, y - FRAME, x + CELL + FRAME - 1, y + CELL + FRAME - 1)
        draw.rectangle(box, outline=REPLICA, width=FRAME)
    colour = REPLICA if copy else QUIET
    draw.text((x, y + CELL + FRAME + 2), f"SSCD {number(score)}", colour, font(15, bold=copy))


def label(draw: ImageDraw.ImageDraw, target: Mapping[str, Any], y: int) -> None:
    """Kind and prompt of a target, at the height ``y``."""
    draw.text((GAP, y), target["kind"], INK, font(16, bold=True))
    draw.text((GAP, y + 21), KINDS_SHORT.get(target["kind"], ""), QUIET, font(14))
    lines = wrap(target["prompt"], font(14), LABEL - GAP, 7)
    draw.multiline_text((GAP, y + 48), "\n".join(lines), INK, font(14), spacing=4)


def fit(image: Image.Image) -> Image.Image:
    """``CELL`` pixels square: small pictures enlarged pixel by pixel, large ones reduced."""
    crisp = CELL % image.width == 0 and image.width == image.height
    return image.resize((CELL, CELL), Image.Resampling.NEAREST if crisp else Image.Resampling.LANCZOS)


def picture(image: Any) -> Image.Image:
    """An array or picture as RGB."""
    return image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
