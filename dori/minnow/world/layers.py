"""What a picture of minnow's world is made of: grounds and icons, drawn by a NumPy generator.

Everything here is visible in the picture; a caption says a ground's colour, and an icon's category and size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dori.minnow.world import icons

SIZE = 64  # pixels of a picture's side
Disk = tuple[float, float, float]  # the centre and the radius of a disk
WHOLE: Disk = (SIZE / 2, SIZE / 2, SIZE)
T = TypeVar("T")

COLORS = {
    "red": (200, 40, 48),
    "orange": (236, 130, 38),
    "yellow": (240, 208, 66),
    "green": (62, 158, 78),
    "teal": (38, 150, 152),
    "blue": (56, 100, 214),
    "purple": (126, 66, 176),
    "pink": (242, 146, 186),
    "white": (238, 238, 232),
    "black": (36, 36, 42),
    "gray": (134, 138, 142),
    "brown": (122, 80, 48),
}
KINDS = ("shaded", "striped", "wavy", "zigzag", "checked", "dotted", "ringed", "rayed", "spiral", "hilly")
SIZES = {"small": (10.0, 12.5), "large": (17.0, 21.0)}  # half of the longer side, pixels
TURN, HUE = 0.5, 0.35  # largest turn, and turn of the hues, radians


@dataclass(frozen=True)
class Ground:
    """A patterned area: two colours, of which the first is said; ``period`` in pixels, angles in radians.

    ``phase`` in periods; ``warp`` in pixels, how far a slow wave moves the pattern; ``level``: about 0, the
    lower the more of the second colour; ``stretch``: of the pattern, across; ``turns``: the rays of half a
    circle, or arms of a spiral; ``shade``: how much darker one side is.
    """

    kind: str
    rgb: tuple[float, ...]
    rgb2: tuple[float, ...]
    period: float
    angle: float
    phase: tuple[float, ...]
    warp: tuple[float, ...]
    level: float
    stretch: float
    turns: int
    shade: float
    disk: Disk = WHOLE


@dataclass(frozen=True)
class Icon:
    """An icon at (x, y) pixels, ``half`` of its longer side in pixels, angle and hue in radians."""

    place: int
    x: float
    y: float
    half: float
    angle: float
    hue: float
    mirrored: bool
    disk: Disk = WHOLE


Layer = Ground | Icon


def draw_ground(rng: np.random.Generator, color: str, disk: Disk = WHOLE) -> Ground:
    """Any ground whose main colour is the named one."""
    rgb = np.clip(np.array(COLORS[color]) + rng.uniform(-24, 24, 3), 0, 255)
    darker = rng.uniform() < (0.6 if rgb.mean() > 110 else 0.2)
    other = rgb + rng.uniform(0.3, 0.6) * ((0.0 if darker else 255.0) - rgb)
    return Ground(
        chosen(rng, KINDS), _pair(rgb), _pair(other), period=float(rng.uniform(13, 30)),
        angle=float(rng.uniform(0, np.pi)), phase=_pair(rng.uniform(0, 1, 2)),
        warp=_pair(rng.uniform(-5, 5, 2)), level=float(rng.uniform(-0.25, 0.45)),
        stretch=float(rng.uniform(0.55, 1.6)), turns=int(rng.integers(2, 7)),
        shade=float(rng.uniform(-0.3, 0.3)), disk=disk,
    )  # fmt: skip


def chosen(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options; ``Generator.choice`` does the same, twenty times slower."""
    return options[int(rng.integers(len(options)))]


def _pair(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.tolist())


def draw_icons(rng: np.random.Generator, things: list[tuple[str, str]]) -> list[Icon]:
    """An icon for each (category, size), apart from each other as far as there is room; large ones first."""
    halves = [float(rng.uniform(*SIZES[size])) for _, size in things]
    places = max((_places(rng, halves) for _ in range(8)), key=lambda found: _apart(found, halves))
    found = [
        draw_icon(rng, category, x, y, half)
        for (category, _), half, (x, y) in zip(things, halves, places, strict=True)
    ]
    return sorted(found, key=lambda icon: -icon.half)


def draw_icon(
    rng: np.random.Generator, category: str, x: float, y: float, half: float, disk: Disk = WHOLE
) -> Icon:
    """Any icon of a category, turned and tinted, at a given place."""
    place, mirrored = chosen(rng, icons.members(category)), bool(rng.integers(2))
    return Icon(
        place, x, y, half, float(rng.uniform(-TURN, TURN)), float(rng.uniform(-HUE, HUE)), mirrored, disk
    )


def _places(rng: np.random.Generator, halves: list[float]) -> list[tuple[float, float]]:
    margins = [0.9 * half for half in halves]
    return [(float(rng.uniform(m, SIZE - m)), float(rng.uniform(m, SIZE - m))) for m in margins]


def _apart(places: list[tuple[float, float]], halves: list[float]) -> float:
    """How far two icons are from touching, at most 0: of places that do not touch, any is as good."""
    (x, y), (u, v) = places
    return min(0.0, float(np.hypot(x - u, y - v)) - 0.95 * sum(halves))
