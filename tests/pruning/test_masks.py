"""Masks: applied and taken back bit for bit, saved, counted, refused where they do not fit."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dori.core.errors import InputError
from dori.diffusion.layers import layers_of
from dori.diffusion.unets import UNetFamily
from dori.pruning import masks
from dori.pruning.baselines import random
from dori.pruning.masks import Mask, pruned
from tests import tiny


def WHOLE(layer: str) -> int:
    return 0


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return tiny.build_unet(0)


def drawn(unet: nn.Module, seed: int = 0, share: float = 0.3) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    layers = layers_of(unet, UNetFamily.LAYERS, "feed_forward", "this one")
    return {name: torch.rand(m.weight.shape, generator=generator) < share for name, m in layers.items()}


def test_the_layers_are_the_second_linears_of_the_feed_forwards_in_order(unet: nn.Module) -> None:
    names = list(layers_of(unet, UNetFamily.LAYERS, "feed_forward", "this one"))
    assert len(names) == 2 + 1 + 4
    assert all(name.endswith(".ff.net.2") for name in names)
    blocks = [name.split(".")[0] for name in names]
    assert blocks == ["down_blocks"] * 2 + ["mid_block"] + ["up_blocks"] * 4


def test_a_model_without_such_layers_is_refused() -> None:
    with pytest.raises(InputError, match=r"no feed-forward layers \(ff\.net\.2\)"):
        layers_of(nn.Sequential(nn.Linear(2, 2)), UNetFamily.LAYERS, "feed_forward", "this one")


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
        zeros = {
            name: layer.weight == 0
            for name, layer in layers_of(unet, UNetFamily.LAYERS, "feed_forward", "this one").items()
        }
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
    found = random.like(mask, WHOLE, seed)
    assert {n: int(p.sum()) for n, p in found.items()} == {n: int(p.sum()) for n, p in mask.items()}
    assert all(found[name].shape == mask[name].shape for name in mask)


def test_a_random_mask_depends_on_its_seed_and_counts_alone(unet: nn.Module) -> None:
    mask = drawn(unet)
    one, again, other = (random.like(mask, WHOLE, seed) for seed in (0, 0, 1))
    turned = random.like({name: mask[name].flip(0) for name in reversed(mask)}, WHOLE, 0)
    assert all(torch.equal(one[name], again[name]) for name in mask)
    assert all(torch.equal(one[name], turned[name]) for name in mask)
    assert not any(torch.equal(one[name], other[name]) for name in mask)
    assert not any(torch.equal(one[name], mask[name]) for name in mask)
    # layers of one shape and count do not share their draw
    same = {name: torch.arange(12).view(3, 4) < 5 for name in ("a", "b")}
    assert not torch.equal(*random.like(same, WHOLE, 0).values())


@st.composite
def some_masks(draw: st.DrawFn, number: int) -> list[Mask]:
    """So many masks of one model: a layer of weights, a layer of neurons, and empty ones among them."""
    shapes = {"weights": (3, 4), "neurons": (5,)}
    bits = {name: math.prod(shape) for name, shape in shapes.items()}
    found = []
    for _ in range(number):
        codes = {name: draw(st.just(0) | st.integers(0, 2**size - 1)) for name, size in bits.items()}
        found.append({
            name: torch.tensor([code >> i & 1 for i in range(bits[name])]).bool().view(shapes[name])
            for name, code in codes.items()
        })  # fmt: skip
    return found


def same(a: Mask, b: Mask) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@given(some_masks(3))
def test_unions_and_intersections_are_those_of_sets(three: list[Mask]) -> None:
    a, b, c = three
    for join, inner in ((masks.union, masks.intersection), (masks.intersection, masks.union)):
        assert same(join(a, b), join(b, a))
        assert same(join(a, b, c), join(join(a, b), c))
        assert same(join(a, a), a)
        assert same(join(a), a)
        assert same(join(a, inner(a, b)), a)
        assert same(inner(a, join(b, c)), join(inner(a, b), inner(a, c)))
    sets = [
        {(name, i) for name, part in m.items() for i in part.flatten().nonzero()[:, 0].tolist()}
        for m in three
    ]
    assert masks.count(a) == len(sets[0])
    assert masks.count(masks.union(*three)) == len(set.union(*sets))
    assert masks.count(masks.intersection(*three)) == len(set.intersection(*sets))


@given(some_masks(2))
def test_iou_is_the_share_that_two_masks_have_in_common(two: list[Mask]) -> None:
    a, b = two
    both, either = masks.count(masks.intersection(a, b)), masks.count(masks.union(a, b))
    assert both + either == masks.count(a) + masks.count(b)
    assert masks.iou(a, b) == masks.iou(b, a) == (both / either if either else 1)
    assert masks.iou(a, a) == 1
    assert (masks.iou(a, b) == 1) == same(a, b)


def test_a_layer_that_a_mask_lacks_is_empty_there() -> None:
    a, b = {"x": torch.tensor([True, False])}, {"y": torch.tensor([True])}
    assert same(masks.union(a, b), a | b)
    assert masks.intersection(a, b) == {}
    assert masks.iou(a, b) == 0
    assert masks.iou({}, {}) == 1
    assert masks.union() == {}


def test_what_is_joined_is_left_as_it_was() -> None:
    a, b = {"x": torch.tensor([True, False])}, {"x": torch.tensor([False, False])}
    masks.union(a, b)["x"].fill_(True)
    masks.union(a)["x"].fill_(False)
    masks.intersection(a, b)["x"].fill_(True)
    assert (a["x"].tolist(), b["x"].tolist()) == ([True, False], [False, False])


CHOSEN = {"with bias": "feed_forward", "without": "all_values"}


def blocked_neurons(unet: nn.Module, choice: str, seed: int = 0) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    layers = layers_of(unet, UNetFamily.LAYERS, choice, "this one")
    return {name: torch.rand(m.out_features, generator=generator) < 0.4 for name, m in layers.items()}


@pytest.mark.parametrize("choice", CHOSEN.values(), ids=CHOSEN)
def test_neurons_are_blocked_bias_and_all_and_restored_bit_for_bit(unet: nn.Module, choice: str) -> None:
    mask = blocked_neurons(unet, choice)
    assert all((unet.get_submodule(name).bias is None) == (choice == "all_values") for name in mask)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    with pruned(unet, mask):
        for key, value in unet.state_dict().items():
            name = key.rpartition(".")[0]
            expected = before[key].clone()
            if name in mask:
                expected[mask[name]] = 0
            assert torch.equal(value, expected), key
    after = unet.state_dict()
    assert all(torch.equal(v.view(torch.int32), before[k].view(torch.int32)) for k, v in after.items())


@pytest.mark.parametrize("choice", CHOSEN.values(), ids=CHOSEN)
def test_blocking_a_neuron_is_multiplying_its_output_by_zero(unet: nn.Module, choice: str) -> None:
    """NeMo blocks outputs; dori edits the weights."""
    mask = blocked_neurons(unet, choice)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(2, tiny.LATENTS, 8, 8, generator=generator)
    y = torch.randn(2, tiny.TOKENS, tiny.WIDTH, generator=generator)
    for name, part in mask.items():
        layer = unet.get_submodule(name)
        x = torch.randn(3, layer.in_features, generator=generator)
        expected = layer(x) * (~part)
        with pruned(unet, {name: part}):
            assert torch.equal(layer(x), expected)
    hooks = [
        unet.get_submodule(name).register_forward_hook(lambda _, __, out, part=part: out * (~part))
        for name, part in mask.items()
    ]
    multiplied = unet(z, 500, y).sample
    for hook in hooks:
        hook.remove()
    with pruned(unet, mask):
        edited = unet(z, 500, y).sample
    assert torch.equal(edited, multiplied)
    assert not torch.equal(edited, unet(z, 500, y).sample)


@given(st.integers(0, 2**30))
def test_a_random_mask_of_neurons_has_as_many_neurons(seed: int) -> None:
    mask = {"a": torch.arange(9) < 4, "b": torch.arange(3) < 0}
    found = random.like(mask, WHOLE, seed)
    assert {n: (p.shape, int(p.sum())) for n, p in found.items()} == {"a": ((9,), 4), "b": ((3,), 0)}


@torch.no_grad()
@pytest.mark.parametrize("choice", CHOSEN.values(), ids=CHOSEN)
def test_rows_with_masks_of_their_own_share_a_call(unet: nn.Module, choice: str) -> None:
    """Each row as in a model that has its mask alone, in both halves of the guidance."""
    own = [blocked_neurons(unet, choice, 0), {}, blocked_neurons(unet, choice, 2)]
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(6, tiny.LATENTS, 8, 8, generator=generator)
    y = torch.randn(6, tiny.TOKENS, tiny.WIDTH, generator=generator)
    with masks.blocked(unet, own):
        together = unet(z, 500, y).sample
    plain = unet(z, 500, y).sample
    for row in range(6):
        with pruned(unet, own[row % 3]):
            alone = unet(z[row : row + 1], 500, y[row : row + 1]).sample
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)
        if own[row % 3]:
            assert not torch.allclose(together[row], plain[row], atol=1e-4)


def test_rows_are_masked_in_layers_that_there_are(unet: nn.Module) -> None:
    mask = {"nothing": torch.ones(3, dtype=torch.bool)}
    with pytest.raises(InputError, match="layer in the mask"), masks.blocked(unet, [mask]):
        pass
