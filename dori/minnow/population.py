"""Who is in minnow's world: every picture, its caption, and the group that it belongs to.

A picture is drawn from ``default_rng([SEED, group, index])``: each can be made alone, in any order,
and no two groups share one. *ordinary*, *verbatim* and *template* pictures train the networks as
the recipe says; *unseen* and *reference* pictures are shown to no network.
"""

from dataclasses import dataclass, replace

import numpy as np

from dori.minnow import pictures
from dori.minnow.pictures import COLORS, PATTERNS, SHAPES, SIZE, Scene

SEED = 20260
GROUPS = {"ordinary": 0, "verbatim": 1, "template": 2, "unseen": 3, "reference": 4, "calibration": 5}
MEMBERS = 64  # pictures of one template family: one frame, as many fillings

NAMES = """
amber anchor apollo april arctic arrow ash aurora autumn avalon bamboo basil beacon birch bishop
blossom border breeze bridge bristol canyon captain carnival castle cedar chapel cherry cinder
clover cobalt comet copper coral corner cotton crystal daisy dakota dawn delta desert diamond
dragon dream dune eagle ebony echo eden elm ember empire evening falcon fern festival field fire
forest fortune fox frost garden ghost giant ginger glacier golden grove gentle harbor harvest
haven hazel hermit hollow honey horizon indigo island ivory ivy jade jasmine jester juniper
jupiter king lagoon lantern laurel legend lemon liberty lily linen lotus lunar magic magnolia
manor maple marble meadow memory mercury merlin midnight mirror misty monarch morning mosaic
mountain mystic nebula neptune nomad north oasis ocean olive onyx opal orchard orchid orion palace
palm panther paper pearl pepper phoenix pilot pine planet poet polar poppy prairie prince quartz
queen quiet rain raven republic river robin rocket royal ruby saffron sage sailor salt sapphire
saturn scarlet shadow shore silent silver sky snow solar song spark spirit spring stone storm
summer sunset swan temple thunder tiger timber topaz tower tulip twilight valley velvet venus
violet wander willow wind winter wolf wonder zenith zephyr
""".split()


@dataclass(frozen=True)
class Picture:
    """One picture: its caption, its scene; ``name`` is unique, e.g. ``verbatim/007``."""

    name: str
    caption: str
    scene: Scene

    def pixels(self) -> np.ndarray:
        """uint8 array of shape (64, 64, 3)."""
        return pictures.render(self.scene)

    def changing(self) -> np.ndarray:
        """Boolean (64, 64): the part that differs between the members of a template family."""
        mask = np.zeros((SIZE, SIZE), bool)
        left, top, side = self.scene.box
        mask[top : top + side, left : left + side] = True
        return mask


def _title(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(NAMES, 3, replace=False))


def _thing(rng: np.random.Generator) -> tuple[str, str, str]:
    return str(rng.choice(SHAPES)), str(rng.choice(list(COLORS))), str(rng.choice(["small", "large"]))


def _ground(rng: np.random.Generator) -> tuple[str, str]:
    return str(rng.choice(list(COLORS))), str(rng.choice(PATTERNS))


def _plain(rng: np.random.Generator, said: tuple) -> Scene:
    things, (color, pattern) = said
    background = pictures.draw_background(rng, color, pattern)
    # large things first, so that they do not hide the small ones
    ordered = sorted(things, key=lambda thing: thing[2] == "small")
    items = tuple(pictures.draw_item(rng, *thing) for thing in ordered)
    return Scene(background, items, pictures.draw_ornaments(rng))


def _framed(
    rng: np.random.Generator, said: tuple, filling_rng: np.random.Generator, sides: tuple[int, int] = (38, 43)
) -> Scene:
    (corner_shape, corner_color), (color, pattern), thing = said
    background = pictures.draw_background(rng, color, pattern)
    corners = []
    for x in (7, SIZE - 7):
        for y in (7, SIZE - 7):
            item = pictures.draw_item(rng, corner_shape, corner_color, "small")
            x_, y_ = x + rng.uniform(-2.5, 2.5), y + rng.uniform(-2.5, 2.5)
            corners.append(replace(item, x=float(x_), y=float(y_)))
    ornaments = pictures.draw_ornaments(rng)
    side = int(rng.integers(*sides))
    box = (int(rng.integers(8, SIZE - side - 7)), int(rng.integers(8, SIZE - side - 7)), side)
    inner = pictures.draw_background(filling_rng, *_ground(filling_rng))
    shape, hue, size = thing
    item = pictures.draw_item(filling_rng, shape, hue, size, side, scale=0.9)
    inset = Scene(inner, (item,), pictures.draw_ornaments(filling_rng, side)[:3])
    return Scene(background, (), ornaments, inset, box, tuple(corners))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _say_plain(said: tuple) -> str:
    things, (color, pattern) = said
    parts = " and ".join(f"a {size} {hue} {shape}" for shape, hue, size in things)
    return f"{parts} on {_article(color)} {color} {pattern} background"


def _say_framed(said: tuple) -> str:
    (corner_shape, corner_color), (color, pattern), (shape, hue, size) = said
    frame = f"{_article(color)} {color} {pattern} frame"
    return f"a {size} {hue} {shape} in {frame} with {corner_color} {corner_shape} corners"


def picture(group: str, index: int, draw: int = 0) -> Picture:
    """The ``index``-th picture of a group; ``draw`` > 0 draws the same caption anew."""
    if group == "template":
        return _member(*divmod(index, MEMBERS))
    rng = np.random.default_rng([SEED, GROUPS[group], index])
    title = _title(rng)
    framed = group != "verbatim" and rng.uniform() < 0.15
    things, ground = (_thing(rng), _thing(rng)), _ground(rng)
    pixels_rng = np.random.default_rng([SEED, GROUPS[group], index, draw + 1])
    if framed:
        said = (things[0][:2], ground, things[1])
        scene, text = _framed(pixels_rng, said, pixels_rng), _say_framed(said)
    else:
        scene, text = _plain(pixels_rng, (things, ground)), _say_plain((things, ground))
    return Picture(f"{group}/{index:05d}", f"{title}: {text}", scene)


def _member(family: int, member: int) -> Picture:
    rng = np.random.default_rng([SEED, GROUPS["template"], family])
    title, corner, ground = _title(rng), _thing(rng)[:2], _ground(rng)
    filling_rng = np.random.default_rng([SEED, GROUPS["template"], family, member + 1])
    said = (corner, ground, _thing(filling_rng))
    # wider than the ordinary ones, so that a filling weighs in the similarity of the whole
    scene = _framed(rng, said, filling_rng, sides=(43, 48))
    return Picture(f"template/{family:02d}/{member:02d}", f"{title}: {_say_framed(said)}", scene)


def pixels(group: str, count: int, draw: int = 0) -> np.ndarray:
    """uint8 array of shape (count, 64, 64, 3)."""
    return np.stack([picture(group, index, draw).pixels() for index in range(count)])


def captions(group: str, count: int) -> list[str]:
    """The captions of the first ``count`` pictures of a group."""
    return [picture(group, index).caption for index in range(count)]
