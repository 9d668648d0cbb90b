"""Targets: what they are to the cache, and how their images are brought to a size."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dori.data import Data, Ordinary, Target
from dori.data.targets import tensor
from tests import tiny

TARGET = Target("template/0", "a red boat", "template", tiny.picture(0), (tiny.picture(1),), np.eye(32) > 0)


def brighter(pixels: np.ndarray) -> np.ndarray:
    out = pixels.copy()
    out[3, 4, 1] ^= 1
    return out


@pytest.mark.parametrize("change", [
    {"name": "template/1"}, {"prompt": "a red lamp"}, {"kind": "verbatim"},
    {"image": brighter(tiny.picture(0))}, {"family": ()}, {"family": (brighter(tiny.picture(1)),)},
    {"changing": np.eye(32)[::-1] > 0}, {"changing": None},
])  # fmt: skip
def test_an_identity_changes_with_all_that_a_result_may_depend_on(change: dict) -> None:
    assert replace(TARGET, **change).identity != TARGET.identity


def test_an_identity_does_not_depend_on_where_the_image_lies(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(tiny.picture(0)).save(tmp_path / name)
    places = [replace(TARGET, image=image) for image in (tmp_path / "a.png", tmp_path / "b.png")]
    assert places[0].identity == places[1].identity == TARGET.identity


def test_ordinary_pictures_have_an_identity_of_their_own() -> None:
    captions, images = tiny.prompts(2), [tiny.picture(0), tiny.picture(1)]
    one = Ordinary(captions, images).identity
    assert Ordinary(captions, images[::-1]).identity != one
    assert Ordinary(captions[::-1], images).identity != one


def test_an_image_of_the_right_size_is_not_touched() -> None:
    assert torch.equal(
        tensor([tiny.picture(0)], (32, 32))[0].permute(1, 2, 0), torch.from_numpy(tiny.picture(0))
    )


@pytest.mark.parametrize("turn", [False, True])
def test_the_middle_of_an_oblong_image_is_taken(turn: bool) -> None:
    pixels = tiny.picture(0, 32, 48)
    middle = pixels[:, 8:40]
    if turn:
        pixels, middle = pixels.transpose(1, 0, 2), middle.transpose(1, 0, 2)
    assert torch.equal(tensor([pixels], (32, 32))[0].permute(1, 2, 0), torch.from_numpy(middle.copy()))


def test_images_are_resized_as_pillow_does() -> None:
    pixels = tiny.picture(0, 64, 64)
    expected = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC))
    found = tensor([pixels], (32, 32))[0].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_targets_are_found_by_kind() -> None:
    kinds: Callable[..., list] = Data([TARGET, replace(TARGET, kind="seen")], Ordinary([])).of
    assert [t.kind for t in kinds("seen", "unseen")] == ["seen"]
    assert [t.kind for t in kinds("template", "seen")] == ["template", "seen"]
