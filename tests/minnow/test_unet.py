"""How often minnow sees what: counted from the very sequences that its training uses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dori.minnow import unet
from dori.minnow.unet import Encoded, memorized_items, shuffled
from dori.minnow.world.population import MEMBERS


@given(st.integers(1, 40), st.integers(0, 2**20), st.integers(1, 4))
def test_a_pass_shows_every_item_once(count: int, seed: int, passes: int) -> None:
    items = shuffled(count, torch.arange(passes * count), seed).view(passes, count)
    for one in items:
        assert sorted(one.tolist()) == list(range(count))


@given(st.integers(1, 40), st.integers(0, 2**20), st.integers(0, 500), st.integers(1, 100))
def test_a_place_in_the_sequence_has_its_item_wherever_one_starts(
    count: int, seed: int, start: int, length: int
) -> None:
    whole = shuffled(count, torch.arange(start + length), seed)
    assert torch.equal(shuffled(count, torch.arange(start, start + length), seed), whole[start:])


def test_passes_have_orders_of_their_own() -> None:
    items = shuffled(50, torch.arange(150), 0).view(3, 50)
    assert len({tuple(order) for order in items.tolist()}) == 3
    assert not torch.equal(shuffled(50, torch.arange(50), 1), items[0])


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**16))
def test_memorized_pictures_are_shown_equally_often(
    verbatim: int, families: int, per_step: int, seed: int
) -> None:
    """A verbatim picture as often as a whole family, and the members of a family in turns."""
    steps = range((verbatim + families) * MEMBERS)
    items = torch.cat([memorized_items(step, per_step, verbatim, families, seed) for step in steps])
    times = torch.bincount(items, minlength=verbatim + families * MEMBERS)
    assert times[:verbatim].tolist() == [MEMBERS * per_step] * verbatim
    assert times[verbatim:].tolist() == [per_step] * (families * MEMBERS)


CFG = {"steps": 2, "lr": 1e-3, "final": 0.1, "batch": 4, "empty_prompts": 0.5, "ema": 0.9, "weight_cap": 50,
       "save_every": 100, "dropped_units": 0.0}  # fmt: skip


def trained_on(
    monkeypatch: pytest.MonkeyPatch, memorized: Encoded | None, cfg: dict, folder: Path, **phase: int
) -> list:
    """The (latents, texts) of each batch of a phase; latents and texts hold their pictures' numbers."""
    seen: list[tuple[Tensor, Tensor]] = []

    def loss(network: nn.Module, *inputs: object) -> Tensor:
        z, y = [x for x in inputs if isinstance(x, Tensor) and x.ndim >= 3]
        seen.append((z.flatten(1)[:, 0], y.flatten(1)[:, 0]))
        return network(torch.ones(1, 1)).sum()

    monkeypatch.setattr(unet, "denoising_loss", loss)
    ordinary, empty = numbered(10), torch.full((1, 2, 3), -1.0)
    unet.train(nn.Linear(1, 1), ordinary, memorized, empty, folder, cfg, 0, name="test", **phase)
    return seen


def numbered(count: int, first: int = 0) -> Encoded:
    numbers = torch.arange(first, first + count).float()
    return Encoded(numbers.view(-1, 1, 1, 1).repeat(1, 1, 2, 2), numbers.view(-1, 1, 1).repeat(1, 2, 3))


def test_a_batch_has_its_share_of_memorized_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memorized = numbered(1 + MEMBERS, 100)
    cfg = {**CFG, "memorized_per_batch": 3, "empty_prompts": 0.0}
    seen = trained_on(monkeypatch, memorized, cfg, tmp_path, verbatim=1, families=1)
    assert len(seen) == 2
    for z, y in seen:
        assert torch.equal(z, y)  # each picture with its own caption
        assert (z >= 100).tolist() == [False, True, True, True]


def test_the_twin_gets_ordinary_pictures_in_their_places(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = {**CFG, "memorized_per_batch": 3, "empty_prompts": 0.0}
    seen = torch.cat([z for z, _ in trained_on(monkeypatch, None, cfg, tmp_path)])
    assert len(seen) == 8
    assert len(set(seen.tolist())) == 8  # one pass, as in the pretraining
    assert seen.max() < 10


def test_the_second_phase_goes_on_with_the_sequence_of_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = trained_on(monkeypatch, None, {**CFG, "empty_prompts": 0.0}, tmp_path / "a")
    second = trained_on(
        monkeypatch, None, {**CFG, "steps": 1, "empty_prompts": 0.0}, tmp_path / "b", offset=4
    )
    assert torch.equal(second[0][0], first[1][0])


def test_some_captions_are_left_out_for_the_guidance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = trained_on(monkeypatch, None, {**CFG, "steps": 40}, tmp_path)
    z, y = (torch.cat([batch[i] for batch in seen]) for i in (0, 1))
    dropped = y == -1
    assert torch.equal(y[~dropped], z[~dropped])
    assert 0.35 < dropped.float().mean() < 0.65


def test_the_layout_is_that_of_stable_diffusion() -> None:
    model = unet.build({"widths": [16, 16, 16, 16], "heads": 2}, 4, 8)
    names = dict(model.named_modules())
    values = [
        n for n in names if n.endswith("attn2.to_v") and n.split(".")[0] in ("down_blocks", "mid_block")
    ]
    assert len(values) == 7  # NeMo's
    assert len([n for n in names if n.endswith("ff.net.2")]) == 16  # Wanda's
    config = unet.scheduler().config
    assert (config.beta_start, config.beta_end, config.beta_schedule) == (0.00085, 0.012, "scaled_linear")
    assert config.prediction_type == "epsilon"


def test_the_loss_is_the_weighted_mean_squared_error(make_diffusion: Callable) -> None:
    model = make_diffusion("epsilon")
    schedule, y = unet.scheduler(), model.encode_prompts(["a red boat", "a blue lamp"])
    weight = unet.weights(schedule, 50)
    z = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    loss = unet.denoising_loss(model.denoiser, schedule, weight, z, y, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    noise, t = torch.randn(z.shape, generator=generator), torch.randint(1000, (2,), generator=generator)
    expected = weight[t] * model.loss(z, y, noise, t)
    assert loss.item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_weights_have_the_mean_one_and_favour_noise_up_to_the_cap() -> None:
    weight = unet.weights(unet.scheduler(), 50)
    assert weight.mean().item() == pytest.approx(1)
    assert (weight.diff() >= 0).all()
    assert (weight[-1] / weight[0]).item() == pytest.approx(50 / (1 / (1 - 0.00085)), rel=1e-3)


def test_units_are_dropped_for_some_samples_alone() -> None:
    model = unet.build({"widths": [16, 16, 16, 16], "heads": 2}, 4, 8).requires_grad_(False).eval()
    z, y = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(3, 5, 8)
    plain = model(z, 500, y).sample
    with unet.dropped_units(model, torch.tensor([0.5, 0.0, 0.5]), torch.Generator().manual_seed(1)):
        dropped = model(z, 500, y).sample
    changed = (dropped - plain).abs().amax((1, 2, 3))
    assert changed[1] < 1e-5 < changed[0] and changed[2] > 1e-5
    assert torch.equal(model(z, 500, y).sample, plain)


def test_what_is_frozen_keeps_its_weights(tmp_path: Path) -> None:
    model = unet.build({"widths": [16, 16, 16, 16], "heads": 2}, 4, 8)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    ordinary = Encoded(torch.randn(6, 4, 8, 8), torch.randn(6, 5, 8))
    cfg = {**CFG, "steps": 1, "frozen": ["up_blocks.*attn2", "resnets"], "weight_cap": 5}
    unet.train(model, ordinary, None, torch.zeros(1, 5, 8), tmp_path, cfg, 0, name="test")
    for name, parameter in model.named_parameters():
        frozen = "resnets" in name or (name.startswith("up_blocks") and "attn2" in name)
        assert torch.equal(parameter, before[name]) or not frozen, name
    assert not torch.equal(model.conv_in.weight, before["conv_in.weight"])
