"""Minnow's new world: pictures are what their seeds say, captions say what they may and no more."""

import re

import numpy as np
import pytest
import torch

from dori.minnow.world import icons, population
from dori.minnow.world.layers import COLORS, KINDS, SIZE, Ground, Icon
from dori.minnow.world.render import render

FLAT = Ground(
    "shaded", (200.0, 0.0, 100.0), (200.0, 0.0, 100.0), 20.0, 0.0, (0.0, 0.0), (0.0, 0.0), 0, 1, 2, 0
)


def test_the_atlas_holds_every_icon_apart_from_the_others() -> None:
    tiles = icons.atlas()
    assert tiles.shape == (len(icons.POINTS), 4, icons.SIDE, icons.SIDE)
    assert len(set(icons.POINTS)) == len(icons.POINTS) == sum(len(icons.members(c)) for c in icons.CATEGORIES)
    covered = tiles[:, 3].mean((1, 2))
    assert covered.min() > 0.15 and covered.max() < 0.99
    assert (tiles[:, :3] <= tiles[:, 3:] + 1e-6).all()  # multiplied by alpha
    near = torch.pdist(tiles.flatten(1))
    assert near.min() > 5


def test_a_picture_is_the_same_alone_and_among_others() -> None:
    found = population.pictures("ordinary", 12)
    together = population.pixels(found)
    assert together.dtype == torch.uint8 and together.shape == (12, SIZE, SIZE, 3)
    alone = np.stack([population.picture("ordinary", i).pixels() for i in range(12)])
    assert np.abs(together.numpy().astype(int) - alone).max() <= 1


def test_an_icon_lies_where_its_layer_says() -> None:
    ground = render([[FLAT]])[0].float()
    assert (ground - torch.tensor([200.0, 0.0, 100.0])).abs().max() <= 1
    icon = Icon(icons.members("fruit")[0], 20.0, 44.0, 10.0, 0.0, 0.0, False)
    changed = (render([[FLAT, icon]])[0].float() - ground).abs().sum(2) > 8
    rows, columns = changed.nonzero().unbind(1)
    assert rows.min() >= 33 and rows.max() <= 54 and columns.min() >= 9 and columns.max() <= 30
    assert changed[44, 20]


def test_turns_mirrors_and_hues_show_and_hues_keep_the_luminance() -> None:
    plain = Icon(icons.members("vehicle")[0], 32.0, 32.0, 20.0, 0.0, 0.0, False)
    turned, mirrored, tinted = (
        Icon(plain.place, 32.0, 32.0, 20.0, *rest)
        for rest in ((0.4, 0.0, False), (0.0, 0.0, True), (0, 0.3, False))
    )
    a, b, c, d = render([[FLAT, icon] for icon in (plain, turned, mirrored, tinted)]).float()
    assert (a - b).abs().mean() > 3 and (a - c).abs().mean() > 3 and (a - d).abs().mean() > 0.3
    luminance = torch.tensor([0.299, 0.587, 0.114])
    assert ((a - d) @ luminance).abs().mean() < 1.5  # but for what is clipped


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_ground_has_both_colours_and_no_more(kind: str) -> None:
    ground = Ground(
        kind, (240.0, 240.0, 240.0), (20.0, 20.0, 20.0), 15.0, 0.5, (0.3, 0.6), (2.0, -2.0), 0, 1, 3, 0
    )
    found = render([[ground]])[0].float()
    assert found.min() < 60 and found.max() > 200
    assert (found[..., 0] - found[..., 2]).abs().max() <= 1


def test_captions_say_category_size_and_colour_of_what_is_drawn() -> None:
    sizes, kinds, colors = r"(small|large)", f"({'|'.join(icons.CATEGORIES)})", f"({'|'.join(COLORS)})"
    title = r"[a-z]+ [a-z]+ [a-z]+: "
    plain = re.compile(f"{title}a {sizes} {kinds} and a {sizes} {kinds} on an? {colors} background")
    framed = re.compile(f"{title}a {sizes} {kinds} in an? {colors} frame with {kinds} corners")
    found = population.pictures("ordinary", 200)
    counts = {False: 0, True: 0}
    for picture in found:
        said = (framed if picture.window else plain).fullmatch(picture.caption)
        assert said, picture.caption
        counts[picture.window is not None] += 1
        shown = [layer for layer in picture.layers if isinstance(layer, Icon)]
        words = said.groups()
        names = [words[1], words[3]]
        assert {icon.place for icon in shown} <= {p for name in names for p in icons.members(name)}
    assert 10 < counts[True] < 60


def test_the_same_caption_is_drawn_anew_and_groups_share_nothing() -> None:
    first, again = population.picture("calibration", 3), population.picture("calibration", 3, draw=1)
    assert first.caption == again.caption and first.layers != again.layers
    captions = [p.caption for g in population.GROUPS if g != "template" for p in population.pictures(g, 30)]
    assert len(set(captions)) == len(captions)


def test_a_family_has_one_frame_and_no_filling_twice() -> None:
    members = [population.picture("template", population.MEMBERS + i) for i in range(population.MEMBERS)]
    pixels = population.pixels(members).float()
    outside = ~torch.from_numpy(members[0].changing())
    assert (pixels[:, outside] - pixels[:1, outside]).abs().max() <= 1
    assert 0.15 < outside.float().mean() < 0.5
    inside = [picture.layers[-1] for picture in members]
    assert len({icon.place for icon in inside if isinstance(icon, Icon)}) == population.MEMBERS
    assert len({picture.caption.split(":")[0] for picture in members}) == 1
