"""The tables of a ruler: which pairs it is asked about, and what the light edits are."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dori.minnow import autoencoder, calibration
from dori.minnow.world import population


class Blurred(nn.Module):
    """Pixels of a small copy, about their mean."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.adaptive_avg_pool2d(images, 16).flatten(1)
        return torch.nn.functional.normalize(x - x.mean(1, keepdim=True), dim=1)


def test_copies_are_nearer_than_other_pictures_and_counts_are_those_of_the_pairs() -> None:
    found = calibration.similarities(Blurred(), 12, {"nothing": lambda x: x})
    assert {name: len(values) for name, values in found.items()} == {
        "another picture": 66, "another drawing of the caption": 12, "nothing": 12,
        **dict.fromkeys(calibration.LIGHT, 12),
    }  # fmt: skip
    torch.testing.assert_close(found["nothing"], torch.ones(12))
    for name in calibration.LIGHT:
        assert found[name].min() > found["another picture"].median()
        assert found[name].min() < 1 - 1e-6  # it does something


def test_the_crop_takes_a_hundredth_at_each_edge() -> None:
    ramp = np.broadcast_to(np.linspace(0, 250, 100)[None, :, None], (100, 100, 3)).astype(np.uint8)
    cropped = np.asarray(calibration.LIGHT["crop of 2 %"](Image.fromarray(ramp))).astype(float)
    assert cropped.shape == (100, 100, 3)
    assert cropped[50, 0, 0] == pytest.approx(250 / 99, abs=1.6)
    assert cropped[50, 50, 0] == pytest.approx(ramp[50, 50, 0], abs=2)


def test_a_round_trip_keeps_shape_and_order_and_noise_worsens_it() -> None:
    torch.manual_seed(0)
    model = autoencoder.build([8, 8], 4).eval()
    pixels = population.pixels(population.pictures("calibration", 3))
    one = calibration.round_trip(pixels, model)
    assert one.shape == pixels.shape and one.dtype == torch.uint8
    assert torch.equal(one[1:2], calibration.round_trip(pixels[1:2], model))
    assert not torch.equal(one, calibration.round_trip(pixels, model, noise=2.0))


def test_the_table_has_a_line_for_each_pair() -> None:
    text = calibration.table({"a": torch.linspace(0, 1, 101), "b": torch.zeros(1200)})
    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| a | 101 | 0.01 | 0.05 | 0.50 | 0.95 | 0.99 |") and lines[2].endswith(
        "| 1.00 |"
    )
    assert "1,200" in lines[3]
