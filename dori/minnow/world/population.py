"""Who is in minnow's world: every picture, its caption, and the group that it belongs to.

A picture is drawn from ``default_rng([SEED, group, index])``: each can be made alone, in any order, and no
two groups share one. *ordinary*, *verbatim* and *template* pictures train the networks; those of all other
groups are shown to no network.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dori.minnow.world import framed as framed_pictures
from dori.minnow.world import icons, layers
from dori.minnow.world.layers import COLORS, SIZE, Disk, Layer, chosen
from dori.minnow.world.names import NAMES
from dori.minnow.world.render import render

SEED = 20261
GROUPS = {
    "ordinary": 0, "verbatim": 1, "template": 2, "unseen": 3, "reference": 4, "calibration": 5, "audit": 6,
}  # fmt: skip
MEMBERS = 32  # pictures of one template family: one frame, as many fillings
# of the first 320 frames, 16 under which no two members are more alike than 0.695 by SSCD at 64 pixels
FAMILIES = (18, 25, 26, 49, 78, 79, 104, 105, 115, 164, 169, 193, 227, 256, 261, 295)
FRAMED = 0.15  # of the ordinary pictures
Thing = tuple[str, str]  # category, size


@dataclass(frozen=True)
class Picture:
    """One picture: its caption and layers; ``name`` is unique, e.g. ``verbatim/00007``."""

    name: str
    caption: str
    layers: tuple[Layer, ...]
    window: Disk | None = None  # the part that differs between the members of a template family

    def pixels(self) -> np.ndarray:
        """uint8 array of shape (64, 64, 3)."""
        return render([self.layers])[0].numpy()

    def changing(self) -> np.ndarray:
        """Boolean (64, 64): True within the window."""
        x, y, radius = self.window or (0.0, 0.0, -1.0)
        row, column = np.mgrid[:SIZE, :SIZE] + 0.5
        return np.hypot(column - x, row - y) < radius + 0.5  # the window's edge is half a pixel soft


def _title(rng: np.random.Generator) -> str:
    return " ".join(NAMES[i] for i in rng.permutation(len(NAMES))[:3])


def _thing(rng: np.random.Generator) -> Thing:
    return chosen(rng, list(icons.CATEGORIES)), chosen(rng, list(layers.SIZES))


def _color(rng: np.random.Generator) -> str:
    return chosen(rng, list(COLORS))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _name(thing: Thing) -> str:
    return f"a {thing[1]} {thing[0]}"


def _framed(thing: Thing, corner: str, color: str) -> str:
    return f"{_name(thing)} in {_article(color)} {color} frame with {corner} corners"


def picture(group: str, index: int, draw: int = 0) -> Picture:
    """The ``index``-th picture of a group; ``draw`` > 0 draws the same caption anew."""
    if group == "template":
        return _member(*divmod(index, MEMBERS))
    rng = np.random.default_rng([SEED, GROUPS[group], index])
    title, framed = _title(rng), group != "verbatim" and rng.uniform() < FRAMED
    things, color = [_thing(rng), _thing(rng)], _color(rng)
    pixels_rng = np.random.default_rng([SEED, GROUPS[group], index, draw + 1])
    name, corner = f"{group}/{index:05d}", things[1][0]
    if framed:
        frame, window = framed_pictures.frame(pixels_rng, corner, color)
        inside = framed_pictures.filling(pixels_rng, things[0], _color(pixels_rng), window)
        return Picture(name, f"{title}: {_framed(things[0], corner, color)}", (*frame, *inside), window)
    scene: tuple[Layer, ...] = (layers.draw_ground(pixels_rng, color), *layers.draw_icons(pixels_rng, things))
    said = f"{_name(things[0])} and {_name(things[1])} on {_article(color)} {color} background"
    return Picture(name, f"{title}: {said}", scene)


def _member(family: int, index: int) -> Picture:
    rng = np.random.default_rng([SEED, GROUPS["template"], FAMILIES[family]])
    title, (corner, _), color = _title(rng), _thing(rng), _color(rng)
    frame, window = framed_pictures.frame(rng, corner, color)
    order = rng.permutation(len(icons.POINTS))
    filling_rng = np.random.default_rng([SEED, GROUPS["template"], FAMILIES[family], index + 1])
    category, inside = framed_pictures.member(order, index, filling_rng, window)
    said = f"{title}: {_framed((category, 'large'), corner, color)}"
    return Picture(f"template/{family:02d}/{index:02d}", said, (*frame, *inside), window)


def pictures(group: str, count: int, draw: int = 0) -> list[Picture]:
    """The first ``count`` pictures of a group; ``draw``: another drawing of the same captions."""
    return [picture(group, index, draw) for index in range(count)]


def pixels(found: Iterable[Picture], device: torch.device | str = "cpu") -> Tensor:
    """uint8 (n, 64, 64, 3) of pictures, rendered on ``device`` in batches."""
    return render([each.layers for each in found], device)


def captions(group: str, count: int) -> list[str]:
    """The captions of the first ``count`` pictures of a group."""
    return [each.caption for each in pictures(group, count)]
