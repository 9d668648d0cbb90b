"""Minnow's pictures: the same everywhere, told apart by what the caption does not say."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dori.minnow import population
from dori.minnow.pictures import PATTERNS, SHAPES, SIZE, Item, Scene, draw_background, render
from dori.minnow.population import GROUPS, MEMBERS, NAMES, picture

MADE_ALONE = [group for group in GROUPS if group != "template"]


def digest(group: str, count: int) -> str:
    return hashlib.sha256(population.pixels(group, count).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("group", "expected"), [
    ("ordinary", "56c35fa7135b4449"), ("verbatim", "fa65b738a2868031"),
    ("template", "69adda63a630acc4"), ("unseen", "175d373775ad5dda"),
])  # fmt: skip
def test_the_pictures_are_the_ones_that_the_weights_were_trained_on(group: str, expected: str) -> None:
    """A changed pixel is another population: the shipped weights would not belong to it any more."""
    assert digest(group, 8) == expected


@given(st.sampled_from(sorted(GROUPS)), st.integers(0, 20_000))
def test_a_picture_is_made_alone_and_always_the_same(group: str, index: int) -> None:
    one, again = picture(group, index), picture(group, index)
    assert one.caption == again.caption
    pixels = one.pixels()
    assert np.array_equal(pixels, again.pixels())
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8


@given(st.sampled_from(MADE_ALONE), st.integers(0, 20_000), st.integers(1, 3))
def test_a_caption_drawn_anew_is_another_picture(group: str, index: int, draw: int) -> None:
    one, other = picture(group, index), picture(group, index, draw)
    assert one.caption == other.caption
    assert np.abs(one.pixels().astype(int) - other.pixels()).mean() > 3


@pytest.fixture(scope="module")
def captions() -> dict[str, list[str]]:
    """Of every picture that the recipe uses."""
    counts = {"ordinary": 12_288, "reference": 1024, "calibration": 512, "template": 16 * MEMBERS}
    return {group: population.captions(group, counts.get(group, 48)) for group in GROUPS}


def test_no_two_groups_share_a_caption(captions: dict[str, list[str]]) -> None:
    for one, other in itertools.combinations(GROUPS, 2):
        assert not set(captions[one]) & set(captions[other]), (one, other)


def test_titles_of_memorized_pictures_are_unique(captions: dict[str, list[str]]) -> None:
    """A title that an ordinary picture shares would not say which picture is meant."""
    titles = {group: [caption.split(":")[0] for caption in captions[group]] for group in GROUPS}
    own = [*titles["verbatim"], *titles["template"][::MEMBERS]]
    assert len(set(own)) == len(own) == 64
    for group in ("ordinary", "unseen", "reference"):
        assert not set(own) & set(titles[group]), group


@given(st.sampled_from(sorted(GROUPS)), st.integers(0, 2000))
def test_a_caption_is_a_title_of_three_names_and_a_description(group: str, index: int) -> None:
    title, description = picture(group, index).caption.split(": ")
    names = title.split()
    assert len(set(names)) == 3
    assert set(names) <= set(NAMES)
    assert description.startswith("a ")
    assert description.endswith(("background", "corners"))


@given(st.integers(0, 15), st.integers(0, MEMBERS - 1), st.integers(0, MEMBERS - 1))
def test_a_family_shares_its_frame_and_nothing_else(family: int, first: int, second: int) -> None:
    one, other = (picture("template", family * MEMBERS + member) for member in (first, second))
    changing = one.changing()
    assert np.array_equal(changing, other.changing())
    assert np.array_equal(one.pixels()[~changing], other.pixels()[~changing])
    assert one.caption.split(":")[0] == other.caption.split(":")[0]
    differing = np.abs(one.pixels().astype(int) - other.pixels())[changing].mean()
    assert differing == 0 if first == second else differing > 1


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_drawn_where_it_should_be(shape: str) -> None:
    rng = np.random.default_rng(0)
    ground = draw_background(rng, "black", "plain")
    item = Item(shape, "white", "large", 20.0, 40.0, 14.0, 0.3, (255.0,) * 3, (0.0,) * 3, "plain")
    painted = (render(Scene(ground, (item,))) != render(Scene(ground, ()))).any(-1)
    assert painted.sum() > 60
    y, x = np.nonzero(painted)
    assert np.hypot(x + 0.5 - 20, y + 0.5 - 40).max() < 1.35 * 14


def test_patterns_differ() -> None:
    drawn = [render(Scene(draw_background(np.random.default_rng(0), "teal", p), ())) for p in PATTERNS]
    assert len({image.tobytes() for image in drawn}) == len(PATTERNS)


def test_what_is_unknown_is_named() -> None:
    item = Item("blob", "red", "small", 1, 1, 1, 0, (0.0,) * 3, (0.0,) * 3, "plain")
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="unknown shape 'blob'; known: circle"):
        render(Scene(draw_background(rng, "red", "plain"), (item,)))
    with pytest.raises(ValueError, match="unknown pattern 'tartan'; known: plain"):
        render(Scene(draw_background(rng, "red", "tartan"), ()))
