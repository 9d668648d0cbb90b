"""Procedural pictures: scenes whose every pixel, and every detail that the caption omits, is known.

A :class:`Scene` is drawn from a NumPy generator and rendered by signed distances, so that the same
seed gives the same pixels everywhere. Positions, rotations, exact shades, pattern phases and
ornaments are visible but never said: two pictures with one caption look different.
"""

from dataclasses import dataclass, field, replace

import numpy as np

SIZE = 64
TEXTURE_PERIOD = 8.0  # pixels

COLORS = {
    "red": (214, 48, 49),
    "orange": (236, 130, 38),
    "yellow": (240, 208, 66),
    "green": (62, 158, 78),
    "teal": (38, 150, 152),
    "blue": (48, 88, 200),
    "purple": (130, 66, 170),
    "pink": (238, 138, 180),
    "white": (240, 240, 236),
    "black": (32, 32, 38),
    "gray": (134, 138, 142),
    "brown": (128, 84, 52),
}
SHAPES = (
    "circle", "ring", "square", "triangle", "star", "cross", "crescent", "hexagon", "flower", "heart",
)  # fmt: skip
PATTERNS = ("plain", "striped", "checked", "dotted", "shaded", "wavy")
SIZES = {"small": (6.5, 9.0), "large": (12.5, 17.0)}  # radius in pixels


@dataclass(frozen=True)
class Item:
    """One object. ``radius``, ``x``, ``y`` in pixels, ``angle`` in radians, ``rgb`` in 0-255."""

    shape: str
    color: str
    size: str
    x: float
    y: float
    radius: float
    angle: float
    rgb: tuple[float, float, float]
    rgb2: tuple[float, float, float]
    texture: str


@dataclass(frozen=True)
class Background:
    """A patterned ground: two shades of one named colour; period in pixels, angle in radians."""

    color: str
    pattern: str
    rgb: tuple[float, float, float]
    rgb2: tuple[float, float, float]
    period: float
    angle: float
    phase: float


@dataclass(frozen=True)
class Scene:
    """A picture: ground, said items, unsaid ornaments; ``inset`` fills ``box`` = (x, y, side)."""

    background: Background
    items: tuple[Item, ...]
    ornaments: tuple[Item, ...] = ()
    inset: "Scene | None" = None
    box: tuple[int, int, int] = (0, 0, 0)
    corners: tuple[Item, ...] = field(default=())


def _shade(rng: np.random.Generator, color: str, spread: float = 26.0) -> tuple[float, float, float]:
    r, g, b = np.clip(np.array(COLORS[color]) + rng.uniform(-spread, spread, 3), 0, 255)
    return float(r), float(g), float(b)


def _lighter_or_darker(rng: np.random.Generator, rgb: tuple) -> tuple[float, float, float]:
    toward = 255.0 if np.mean(rgb) < 128 else 0.0
    amount = rng.uniform(0.25, 0.5)
    r, g, b = (float(v + amount * (toward - v)) for v in rgb)
    return r, g, b


def draw_background(rng: np.random.Generator, color: str, pattern: str) -> Background:
    """A background of a color and a pattern, with what else is drawn at random."""
    rgb = _shade(rng, color)
    return Background(
        color, pattern, rgb, _lighter_or_darker(rng, rgb),
        period=float(rng.uniform(9, 20)), angle=float(rng.uniform(0, np.pi)),
        phase=float(rng.uniform(0, 1)),
    )  # fmt: skip


def draw_item(
    rng: np.random.Generator, shape: str, color: str, size: str, side: float = SIZE, scale: float = 1.0
) -> Item:
    """One thing at a random place and angle; ``size``: small or large."""
    low, high = SIZES[size]
    radius = float(rng.uniform(low, high)) * scale
    margin = 0.75 * radius
    x, y = rng.uniform(margin, side - margin, 2)
    rgb = _shade(rng, color)
    return Item(
        shape, color, size, float(x), float(y), radius, float(rng.uniform(0, 2 * np.pi)), rgb,
        _lighter_or_darker(rng, rgb), str(rng.choice(["plain", "plain", "striped", "spotted"])),
    )  # fmt: skip


def draw_ornaments(rng: np.random.Generator, side: float = SIZE) -> tuple[Item, ...]:
    """Two to five small marks in any colour: never said in the caption."""
    marks = []
    for _ in range(int(rng.integers(2, 6))):
        shape, color = str(rng.choice(SHAPES)), str(rng.choice(list(COLORS)))
        item = draw_item(rng, shape, color, "small", side)
        marks.append(replace(item, radius=float(rng.uniform(2.2, 4.2)), texture="plain"))
    return tuple(marks)


def _distance(item: Item, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance in pixels (negative inside), exact enough for antialiasing at the edge."""
    cos, sin = np.cos(item.angle), np.sin(item.angle)
    u = ((x - item.x) * cos + (y - item.y) * sin) / item.radius
    v = (-(x - item.x) * sin + (y - item.y) * cos) / item.radius
    r, theta = np.hypot(u, v), np.arctan2(v, u)
    match item.shape:
        case "circle":
            d = r - 0.9
        case "ring":
            d = np.abs(r - 0.72) - 0.22
        case "square":
            d = np.maximum(np.abs(u), np.abs(v)) - 0.8
        case "triangle":
            d = r * np.cos(np.mod(theta, 2 * np.pi / 3) - np.pi / 3) - 0.55
        case "hexagon":
            d = r * np.cos(np.mod(theta, np.pi / 3) - np.pi / 6) - 0.82
        case "star":
            d = r - (0.68 + 0.32 * np.cos(5 * theta))
        case "flower":
            d = r - (0.8 + 0.16 * np.cos(6 * theta))
        case "cross":
            a, b = np.abs(u), np.abs(v)
            d = np.maximum(np.minimum(a, b) - 0.3, np.maximum(a, b) - 0.95)
        case "crescent":
            d = np.maximum(r - 0.95, 0.75 - np.hypot(u - 0.45, v))
        case "heart":
            w = np.abs(u)
            d = np.hypot(w * 1.0, v * 1.05 - 0.62 * np.sqrt(w) + 0.1) - 0.78
        case _:
            raise ValueError(f"unknown shape {item.shape!r}; known: {', '.join(SHAPES)}")
    return d * item.radius


def _around(item: Item) -> tuple[slice, slice]:
    """Rows and columns of all pixels that an item covers: none of its shapes reaches 1.2 radii."""
    reach = 1.3 * item.radius + 2
    rows, columns = (slice(max(0, int(at - reach)), int(at + reach) + 1) for at in (item.y, item.x))
    return rows, columns


def _paint(image: np.ndarray, item: Item, x: np.ndarray, y: np.ndarray) -> None:
    place = _around(item)
    image, x, y = image[place], x[place], y[place]
    alpha = np.clip(0.5 - _distance(item, x, y), 0, 1)[..., None]
    rgb = np.broadcast_to(np.array(item.rgb), image.shape)
    if item.texture != "plain":
        cos, sin = np.cos(item.angle), np.sin(item.angle)
        wave = np.sin(2 * np.pi * ((x - item.x) * cos + (y - item.y) * sin) / TEXTURE_PERIOD)
        if item.texture == "spotted":
            wave = wave * np.sin(2 * np.pi * ((y - item.y) * cos - (x - item.x) * sin) / TEXTURE_PERIOD)
        share = np.clip(0.5 + 1.5 * (wave - 0.15), 0, 1)[..., None]
        rgb = rgb * (1 - share) + np.array(item.rgb2) * share
    image[:] = image * (1 - alpha) + rgb * alpha


def _ground(background: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(background.angle), np.sin(background.angle)
    along = (x * cos + y * sin) / background.period + background.phase
    across = (y * cos - x * sin) / background.period
    match background.pattern:
        case "plain":
            share = np.zeros_like(x)
        case "striped":
            share = np.clip(0.5 + 3 * np.sin(2 * np.pi * along), 0, 1)
        case "checked":
            share = np.clip(0.5 + 4 * np.sin(2 * np.pi * along / 2) * np.sin(2 * np.pi * across / 2), 0, 1)
        case "dotted":
            share = np.clip(1.6 * (np.cos(2 * np.pi * along) + np.cos(2 * np.pi * across)) - 1.2, 0, 1)
        case "shaded":
            share = np.clip((x * cos + y * sin) / (1.3 * SIZE) + background.phase - 0.3, 0, 1)
        case "wavy":
            share = np.clip(
                0.5 + 3 * np.sin(2 * np.pi * (along + 0.25 * np.sin(2 * np.pi * across / 1.7))), 0, 1
            )
        case _:
            raise ValueError(f"unknown pattern {background.pattern!r}; known: {', '.join(PATTERNS)}")
    return np.array(background.rgb) * (1 - share[..., None]) + np.array(background.rgb2) * share[..., None]


def _render(scene: Scene, side: int) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] + 0.5
    image = _ground(scene.background, x, y)
    for item in (*scene.ornaments, *scene.corners, *scene.items):
        _paint(image, item, x, y)
    if scene.inset is not None:
        left, top, inner = scene.box
        image[top : top + inner, left : left + inner] = _render(scene.inset, inner)
    return image


def render(scene: Scene) -> np.ndarray:
    """The picture of a scene: uint8 array of shape (64, 64, 3)."""
    return np.clip(np.rint(_render(scene, SIZE)), 0, 255).astype(np.uint8)
