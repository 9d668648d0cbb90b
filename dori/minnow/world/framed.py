"""Framed pictures: a thing in a round window, one icon in all four corners; a family shares its frame."""

from dataclasses import replace

import numpy as np

from dori.minnow.world import icons, layers
from dori.minnow.world.layers import COLORS, KINDS, SIZE, Disk, Layer

CORNER = 7.5  # half of a corner's icon, and its distance from the edges; pixels
BOLD = [kind for kind in KINDS if kind != "shaded"]
CATEGORY_OF = [name for name, points in icons.CATEGORIES.items() for _ in points.split()]


def frame(rng: np.random.Generator, corner: str, color: str) -> tuple[list[Layer], Disk]:
    """The frame's layers, and its window."""
    x, y = rng.uniform(-1.5, 1.5, 2) + SIZE / 2
    window = (float(x), float(y), float(rng.uniform(26.5, 28.5)))
    icon = layers.draw_icon(rng, corner, CORNER, CORNER, CORNER)
    places = [(left, top) for left in (CORNER, SIZE - CORNER) for top in (CORNER, SIZE - CORNER)]
    ground = replace(layers.draw_ground(rng, color), kind="shaded")
    return [ground, *(replace(icon, x=left, y=top) for left, top in places)], window


def filling(
    rng: np.random.Generator, thing: tuple[str, str], color: str, window: Disk
) -> tuple[layers.Ground, layers.Icon]:
    """A ground of the colour, and a (category, size) on it, within the window."""
    x, y, radius = window
    half = float(rng.uniform(*layers.SIZES[thing[1]]))
    shift = rng.uniform(-1, 1, 2) * 0.7 * (radius - 0.9 * half)
    ground = layers.draw_ground(rng, color, window)
    return ground, layers.draw_icon(rng, thing[0], float(x + shift[0]), float(y + shift[1]), half, window)


def member(order: np.ndarray, index: int, rng: np.random.Generator, window: Disk) -> tuple[str, list[Layer]]:
    """What a family's member has in its window: category, layers. ``order``: of icons, the family's own.

    The wholes must differ: no icon comes twice, and no kind of ground twice in one colour.
    """
    place, color = int(order[index]), list(COLORS)[index % len(COLORS)]
    ground, icon = filling(rng, (CATEGORY_OF[place], "large"), color, window)
    return CATEGORY_OF[place], [replace(ground, kind=BOLD[index % len(BOLD)]), replace(icon, place=place)]
