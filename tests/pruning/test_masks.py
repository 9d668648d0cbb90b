"""Masks: applied and taken back bit for bit, saved, counted, refused where they do not fit."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dori.errors import InputError
from dori.pruning import masks, random
from dori.pruning.layers import layers_of
from dori.pruning.masks import Mask, pruned
from tests import tiny


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return tiny.build_unet(0)


def drawn(unet: nn.Module, seed: int = 0, share: float = 0.3) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    layers = layers_of(unet, "feed_forward")
    return {name: torch.rand(m.weight.shape, generator=generator) < share for name, m in layers.items()}


def test_the_layers_are_the_second_linears_of_the_feed_forwards_in_order(unet: nn.Module) -> None:
    names = list(layers_of(unet, "feed_forward"))
    assert len(names) == 2 + 1 + 4
    assert all(name.endswith(".ff.net.2") for name in names)
    blocks = [name.split(".")[0] for name in names]
    assert blocks == ["down_blocks"] * 2 + ["mid_block"] + ["up_blocks"] * 4


def test_a_model_without_such_layers_is_refused() -> None:
    with pytest.raises(InputError, match=r"no feed-forward layers \(ff\.net\.2\)"):
        layers_of(nn.Sequential(nn.Linear(2, 2)), "feed_forward")


def test_masked_weights_are_zero_inside_and_restored_bit_for_bit(unet: nn.Module) -> None:
    mask = drawn(unet)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    with pruned(unet, mask):
        for key, value in unet.state_dict().items():
            name = key.removesuffix(".weight")
            expected = before[key].masked_fill(mask[name], 0) if name in mask else before[key]
            assert torch.equal(value, expected)
    # -0.0 equals 0.0: compare the bits
    after = unet.state_dict()
    assert all(torch.equal(v.view(torch.int32), before[k].view(torch.int32)) for k, v in after.items())


def test_an_exception_inside_restores_the_weights_too(unet: nn.Module) -> None:
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), pruned(unet, drawn(unet)):
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_masks_nest(unet: nn.Module) -> None:
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    one, other = drawn(unet, 0), drawn(unet, 1)
    with pruned(unet, one), pruned(unet, other):
        zeros = {name: layer.weight == 0 for name, layer in layers_of(unet, "feed_forward").items()}
        assert all(torch.equal(zeros[name], one[name] | other[name]) for name in zeros)
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_no_mask_changes_nothing(unet: nn.Module) -> None:
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    for nothing in (None, {}):
        with pruned(unet, nothing):
            assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


@pytest.mark.parametrize("name", ["down_blocks.9.ff.net.2", "conv_in"])
def test_a_layer_that_the_model_lacks_is_refused(unet: nn.Module, name: str) -> None:
    with (
        pytest.raises(InputError, match=f"layer in the mask '{name}'"),
        pruned(unet, {name: torch.ones(2, 2) > 0}),
    ):
        pass


def test_another_shape_is_refused_before_anything_is_changed(unet: nn.Module) -> None:
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    mask = drawn(unet)
    last = list(mask)[-1]
    mask[last] = mask[last][:, 1:]
    with (
        pytest.raises(InputError, match=r"has shape \(16, 63\), the layer's weights \(16, 64\)"),
        pruned(unet, mask),
    ):
        pass
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_a_mask_is_loaded_as_saved(unet: nn.Module, tmp_path: Path) -> None:
    mask = drawn(unet)
    masks.save(mask, tmp_path / "mask.safetensors", {"ratio": 0.1})
    found = masks.load(tmp_path / "mask.safetensors")
    assert found.keys() == mask.keys()
    assert all(torch.equal(found[name], mask[name]) for name in mask)
    assert masks.count(found) == sum(int(part.sum()) for part in mask.values()) > 0


@given(st.integers(0, 2**30), st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_a_random_mask_has_as_many_weights_in_each_layer(seed: int, shares: list[float]) -> None:
    mask = {f"layer{i}": torch.rand(5, 7) < share for i, share in enumerate(shares)}
    found = random.like(mask, seed)
    assert {n: int(p.sum()) for n, p in found.items()} == {n: int(p.sum()) for n, p in mask.items()}
    assert all(found[name].shape == mask[name].shape for name in mask)


def test_a_random_mask_depends_on_its_seed_and_counts_alone(unet: nn.Module) -> None:
    mask = drawn(unet)
    one, again, other = (random.like(mask, seed) for seed in (0, 0, 1))
    turned = random.like({name: mask[name].flip(0) for name in reversed(mask)}, 0)
    assert all(torch.equal(one[name], again[name]) for name in mask)
    assert all(torch.equal(one[name], turned[name]) for name in mask)
    assert not any(torch.equal(one[name], other[name]) for name in mask)
    assert not any(torch.equal(one[name], mask[name]) for name in mask)
    # layers of one shape and count do not share their draw
    same = {name: torch.arange(12).view(3, 4) < 5 for name in ("a", "b")}
    assert not torch.equal(*random.like(same, 0).values())
