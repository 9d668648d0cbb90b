"""How a training went, in pictures: what the attack brings of the same targets, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from torch import Tensor

from dori.results.figures.grid import CELL, GAP, HEAD, LABEL, SCORE, fit, label, picture, scored
from dori.results.figures.style import INK, QUIET, font


def write_epochs(
    path: Path, targets: Sequence[Mapping[str, Any]], epochs: Mapping[int, Mapping[str, Tensor]],
    threshold: float,
) -> None:  # fmt: skip
    """Write a PNG: a row per target, its training image, then a column per epoch.

    ``epochs``: what ``Validation.measure`` leaves, images (n, 3, H, W) and SSCD_Orig (n,) of the first n
    ``targets``.
    """
    first = next(iter(epochs.values()))
    shown = targets[: len(first["images"])]
    width = LABEL + (1 + len(epochs)) * (CELL + GAP) + GAP
    sheet = Image.new("RGB", (width, HEAD + len(shown) * (CELL + SCORE + GAP) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    note = f"The averaged weights under the validation's attack; framed where SSCD > {threshold} (a copy)"
    draw.text((GAP, 10), note, QUIET, font(16))
    heads = ["training image", *(f"epoch {epoch}" if epoch else "before training" for epoch in epochs)]
    places = [LABEL + GAP + column * (CELL + GAP) for column in range(len(heads))]
    for x, head in zip(places, heads, strict=True):
        draw.text((x, 52), head, INK, font(17, bold=True))
    for line, target in enumerate(shown):
        y = HEAD + line * (CELL + SCORE + GAP)
        label(draw, target, y)
        sheet.paste(fit(picture(target["image"])), (places[0], y))
        for x, found in zip(places[1:], epochs.values(), strict=True):
            image = picture(found["images"][line].permute(1, 2, 0).numpy())
            scored(sheet, draw, image, float(found["SSCD_Orig"][line]), (x, y), threshold)
    sheet.save(path)
