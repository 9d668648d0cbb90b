"""Minnow's copy-detection descriptor, and the edits of pictures that its student learns by."""

from pathlib import Path

import pytest
import torch

from dori.minnow import augment, descriptor
from dori.minnow.descriptor import Descriptor


def test_it_gives_unit_vectors_of_images_of_any_size() -> None:
    model = Descriptor(width=16, dim=8).eval()
    for side in (64, 32, 100):
        z = model(torch.rand(2, 3, side, side))
        assert z.shape == (2, 8)
        torch.testing.assert_close(z.norm(dim=1), torch.ones(2))


def test_an_image_is_described_for_itself() -> None:
    model, x = Descriptor(width=16, dim=8).eval(), torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-5, atol=1e-6)


def test_it_is_loaded_as_saved_but_for_half_precision(tmp_path: Path) -> None:
    model = Descriptor(width=16, dim=8).eval()
    descriptor.save(model, tmp_path / "d.safetensors")
    again = Descriptor(width=16, dim=8, path=str(tmp_path / "d.safetensors")).eval()
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(again(x), model(x), atol=0.01, rtol=0.01)
    assert next(again.parameters()).dtype == torch.float32


@pytest.mark.parametrize("edit", [augment.crop, augment.color, augment.blur, augment.noise])
def test_an_edit_keeps_shape_and_range_and_is_seeded(edit) -> None:
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    kept = x.clone()
    one, again, other = (edit(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == x.shape
    assert one.min() >= -1e-5
    assert one.max() <= 1 + 1e-5
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(x, kept)
