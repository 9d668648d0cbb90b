"""The training loop: a killed one goes on as if nothing had happened."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from dori.minnow import loop


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def loss_of(model: nn.Module, dies_at: int | None = None) -> Callable[[int, torch.Generator], Tensor]:
    def loss(step: int, generator: torch.Generator) -> Tensor:
        if step == dies_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=generator)
        return (model(x) - x.sum(1, keepdim=True)).square().mean()

    return loss


def fitted(folder: Path, dies_at: tuple[int, ...] = (), **settings: object) -> dict[str, Tensor]:
    """The weights after a training that was killed at these steps and started again each time."""
    chosen = {"steps": 12, "lr": 0.05, "seed": 3, "warmup": 2, "save_every": 4, "ema": 0.9, **settings}
    for step in dies_at:
        model = network()
        with pytest.raises(KeyboardInterrupt):
            loop.fit(model, loss_of(model, step), folder, **chosen)
    model = network()
    loop.fit(model, loss_of(model), folder, **chosen)
    return model.state_dict()


@pytest.mark.parametrize("dies_at", [(2,), (4,), (6, 9), (5, 5, 11)])
def test_a_killed_training_gives_the_same_weights_bit_for_bit(
    tmp_path: Path, dies_at: tuple[int, ...]
) -> None:
    whole, killed = fitted(tmp_path / "whole"), fitted(tmp_path / "killed", dies_at)
    assert all(torch.equal(killed[key], whole[key]) for key in whole)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    whole = fitted(tmp_path)
    model = network()
    loop.fit(model, loss_of(model, 0), tmp_path, steps=12, lr=0.05, seed=3)
    assert all(torch.equal(value, whole[key]) for key, value in model.state_dict().items())


def test_training_reduces_the_loss(tmp_path: Path) -> None:
    model = network()
    generator = torch.Generator().manual_seed(99)
    before = loss_of(model)(0, generator.manual_seed(99)).item()
    loop.fit(model, loss_of(model), tmp_path, steps=150, lr=0.05, seed=3, warmup=5, ema=0.9)
    assert loss_of(model)(0, generator.manual_seed(99)).item() < 0.1 * before


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    one, other = fitted(tmp_path / "a"), fitted(tmp_path / "b", seed=4)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_frozen_parts_stay_and_are_resumed_past(tmp_path: Path) -> None:
    def run(folder: Path, dies_at: int | None) -> dict[str, Tensor]:
        for step in (dies_at, None) if dies_at else (None,):
            model = network()
            model[0].requires_grad_(False)
            try:
                loop.fit(
                    model, loss_of(model, step), folder, steps=8, lr=0.05, seed=3, save_every=2, warmup=1
                )
            except KeyboardInterrupt:
                continue
        return model.state_dict()

    whole, killed, start = run(tmp_path / "a", None), run(tmp_path / "b", 5), network().state_dict()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)
    assert torch.equal(whole["0.weight"], start["0.weight"])
    assert not torch.equal(whole["2.weight"], start["2.weight"])


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path: Path) -> None:
    model = network()
    bad = lambda step, generator: model(torch.ones(1, 3)).sum() * (torch.nan if step == 3 else 1)  # noqa: E731
    with pytest.raises(FloatingPointError, match=r"clip: loss nan before step 5; lower lr \(0.05\)"):
        loop.fit(model, bad, tmp_path, steps=5, lr=0.05, seed=0, name="clip")


def test_averages_of_chosen_steps_are_kept(tmp_path: Path) -> None:
    whole = fitted(tmp_path, keep_every=6)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-12.safetensors", "step-6.safetensors"]
    last = load_file(tmp_path / "step-12.safetensors")
    assert all(torch.equal(last[key], whole[key].half()) for key in whole)


@given(st.integers(1, 50), st.integers(60, 400), st.floats(0.01, 1))
def test_the_rate_warms_up_and_falls_to_its_end(warmup: int, steps: int, final: float) -> None:
    rates = [loop.rate(step, steps, 2.0, final, warmup) for step in range(steps + 1)]
    assert rates[warmup] == pytest.approx(2)
    assert rates[-1] == pytest.approx(2 * final)
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert min(rates) > 0
    assert max(rates) <= 2 + 1e-9


def test_the_rate_is_held_until_the_last_steps() -> None:
    rates = [loop.rate(step, 100, 1.0, 0.1, 10, anneal=20) for step in range(100)]
    assert rates[:3] == [0.1, 0.2, pytest.approx(0.3)]
    assert rates[10:81] == [1.0] * 71
    assert all(a > b for a, b in itertools.pairwise(rates[80:]))
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
