"""The inner attack: on the model as it is, with noise of its own in every epoch."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from dori.attacks import Attack
from dori.attacks.constraints import l2_ball
from dori.defenses.training.adversary import Adversary
from dori.defenses.training.material import Material
from dori.diffusion import StableDiffusion
from tests.defenses.conftest import configured, material_of


@pytest.fixture(scope="module")
def material(make_diffusion: Callable[..., StableDiffusion]) -> Material:
    return material_of(make_diffusion("epsilon"))


@pytest.fixture(scope="module")
def attack() -> Attack:
    found = configured().attack
    assert found is not None
    return found


def test_without_an_attack_the_embeddings_are_the_prompts_own(material: Material) -> None:
    adversary = Adversary(None, None, 0)
    found = adversary(material, material.targets, 0)
    expected = material.diffusion.encode_prompts([t.prompt for t in material.targets])
    assert torch.equal(found[:, 0], expected)
    assert adversary.evaluations == 0


def test_every_epoch_has_its_own_noise_and_a_target_is_the_same_in_any_company(
    material: Material, attack: Attack
) -> None:
    both = Adversary(attack, None, 0)(material, material.targets, 0)
    alone = Adversary(attack, None, 0)(material, material.targets[1:2], 0)
    torch.testing.assert_close(both[1], alone[0], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(both, Adversary(attack, None, 0)(material, material.targets, 1), atol=1e-2)


@pytest.mark.parametrize("threads", [1, 3])
def test_targets_side_by_side_leave_the_weights_to_be_trained(
    material: Material, attack: Attack, threads: int
) -> None:
    """On three cores each of the targets is attacked in a thread; the first to end may thaw nothing."""
    unet, before = material.diffusion.denoiser.requires_grad_(True), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = Adversary(replace(attack, steps=6), None, 0)(material, material.targets, 0)
    finally:
        torch.set_num_threads(before)
    assert all(weight.requires_grad and weight.grad is None for weight in unet.parameters())
    alone = Adversary(replace(attack, steps=6), None, 0)(material, material.targets[2:], 0)
    torch.testing.assert_close(found[2:], alone, rtol=1e-2, atol=1e-2)


def test_restarts_each_give_an_embedding(material: Material, attack: Attack) -> None:
    adversary = Adversary(replace(attack, restarts=3), None, 0)
    found = adversary(material, material.targets, 0)
    assert found.shape[:2] == (3, 3)
    assert adversary.evaluations == 3 * 3 * attack.steps * attack.pairs


def test_a_warm_start_goes_on_where_the_epoch_before_ended(material: Material, attack: Attack) -> None:
    adversary = Adversary(attack, 1, 0)
    first = adversary(material, material.targets, 0)
    second = adversary(material, material.targets, 1)
    lr = 0.1
    # one step of Adam moves a coordinate by the learning rate, and no further
    assert (second - first).abs().max() <= lr * 1.01
    assert (second - first).abs().median() > lr / 2
    assert adversary.evaluations == 3 * (attack.steps + 1) * attack.pairs
    # a target that is new is attacked from its start, and so are its companions
    adversary.found.pop(material.targets[0].name)
    adversary(material, material.targets, 2)
    assert adversary.evaluations == 3 * (2 * attack.steps + 1) * attack.pairs


def test_the_ball_stays_around_the_start(material: Material, attack: Attack) -> None:
    ball = replace(attack, constraint=partial(l2_ball, epsilon=0.05))
    adversary = Adversary(ball, 4, 0)
    start = material.diffusion.encode_prompts([t.prompt for t in material.targets])
    for epoch in range(3):
        found = adversary(material, material.targets, epoch)[:, 0]
        moved = (found - start).flatten(1).norm(dim=1) / start.flatten(1).norm(dim=1)
        assert (moved <= 0.0501).all()
    assert (moved > 0.045).any()
