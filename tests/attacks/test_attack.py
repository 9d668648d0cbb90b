"""An attack on a list of targets: noise by name, parts that outlive a killed run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dori.attacks import Attack
from dori.attacks.attack import merge_parts
from dori.attacks.constraints import l2_ball, unconstrained
from dori.attacks.objectives import denoising_loss
from dori.attacks.starts import prompt
from dori.data import Target
from dori.diffusion import StableDiffusion
from dori.errors import InputError
from dori.predict import Predictor
from tests import tiny

TARGETS = [Target(f"verbatim/{i}", tiny.prompts(1, i)[0], "verbatim", tiny.picture(i)) for i in range(3)]


@pytest.fixture
def attack() -> Attack:
    return Attack(
        "dori", steps=2, pairs=2, start=prompt, constraint=unconstrained, objective=denoising_loss,
        optimizer=partial(torch.optim.Adam, lr=0.1), batch=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion(dtype="float64")


def triggers(
    attack: Attack, model: StableDiffusion, targets: list[Target], folder: Path, predictor: Predictor,
    groups: list[list[int]] | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    folder.mkdir(exist_ok=True)
    for places in groups or [list(range(len(targets)))]:
        attack.run(model, targets, places, folder, predictor)
    merge_parts(folder)
    assert [p.name for p in folder.iterdir()] == ["triggers.safetensors"]
    return load_file(folder / "triggers.safetensors")


def test_triggers_follow_the_order_of_the_targets(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    """Two targets per call, then one: the parts are joined in order, and nobody sees the company."""
    found = triggers(attack, model, TARGETS, tmp_path / "a", predictor)
    # targets with masks of their own come in groups
    turned = triggers(
        replace(attack, batch=64), model, TARGETS[::-1], tmp_path / "b", predictor, [[2], [0, 1]]
    )
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "start": (3, tiny.TOKENS, tiny.WIDTH), "embeddings": (3, tiny.TOKENS, tiny.WIDTH),
        "losses": (3, 2), "failed": (3,),
    }  # fmt: skip
    torch.testing.assert_close(found["start"], prompt(model, TARGETS))
    for key in found:
        torch.testing.assert_close(found[key], turned[key].flip(0), rtol=1e-5, atol=1e-5)
    assert (found["embeddings"] - found["start"]).abs().mean() > 0.05


def test_evaluations_are_the_samples_through_the_unet(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    samples = []
    hook = model.unet.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    triggers(attack, model, TARGETS, tmp_path / "a", predictor)
    hook.remove()
    assert sum(samples) == attack.evaluations(3) == 3 * 2 * 2
    assert max(samples) <= attack.batch


def test_finished_parts_of_a_killed_run_are_kept(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    calls = []

    def dies(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) > attack.steps:  # in the second part
            raise KeyboardInterrupt
        return denoising_loss(*arguments)

    whole = triggers(attack, model, TARGETS, tmp_path / "whole", predictor)
    (tmp_path / "killed").mkdir()
    with pytest.raises(BaseException):  # noqa: B017 - Lightning turns it into SystemExit
        attack_dies = replace(attack, objective=dies)
        attack_dies.run(model, TARGETS, list(range(len(TARGETS))), tmp_path / "killed", predictor)
    assert [p.name for p in (tmp_path / "killed").iterdir()] == ["part-00000.safetensors"]
    calls.clear()

    def counts(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        return denoising_loss(*arguments)

    again = triggers(replace(attack, objective=counts), model, TARGETS, tmp_path / "killed", predictor)
    assert len(calls) == attack.steps  # one part of two
    assert all(torch.equal(again[key], whole[key]) for key in whole)


def test_noise_is_fresh_at_each_step_and_a_targets_own(attack: Attack, model: StableDiffusion) -> None:
    together, alone = attack.noise(model, TARGETS), attack.noise(model, TARGETS[2:])
    steps = [(together(step), alone(step)) for step in range(2)]
    for (noise, t), (own_noise, own_t) in steps:
        assert torch.equal(noise[2:], own_noise)
        assert torch.equal(t[2:], own_t)
        assert noise.shape == (3, 2, *model.latent_shape)
    first, second = steps[0][0][0], steps[1][0][0]
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    other, _ = replace(attack, seed=1).noise(model, TARGETS)(0)
    assert not torch.equal(first, other)


def test_timesteps_are_all_training_timesteps(attack: Attack, model: StableDiffusion) -> None:
    draw = replace(attack, pairs=64).noise(model, TARGETS)
    t = torch.cat([draw(step)[1].flatten() for step in range(10)])
    assert 0 <= t.min() < 20
    assert 980 <= t.max() < 1000
    assert 450 < t.float().mean() < 550


@pytest.mark.parametrize("key", ["steps", "pairs", "batch"])
@pytest.mark.parametrize("value", [0, -5])
def test_a_budget_at_or_below_zero_is_refused(attack: Attack, key: str, value: int) -> None:
    with pytest.raises(InputError, match=f"attack.{key} must be above zero, but is {value}"):
        replace(attack, **{key: value})


@pytest.mark.parametrize("epsilon", [-1.0, float("nan")])
def test_a_bad_epsilon_is_refused_before_any_work(attack: Attack, epsilon: float) -> None:
    with pytest.raises(InputError, match="epsilon"):
        replace(attack, constraint=partial(l2_ball, epsilon=epsilon))
