"""The solver: weights untouched, each target for itself, whatever the batch.

Adam's first step is the sign of the gradient, which floating-point noise can flip: so equality of
attacks is tested in float64.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from dori.attacks.constraints import l2_ball, unconstrained
from dori.attacks.objectives import denoising_loss
from dori.attacks.solver import Solution, solve
from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.diffusion import StableDiffusion
from tests import tiny

PAIRS = 3


@pytest.fixture(scope="module")
def model(make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion("v_prediction", dtype="float64")


def latents(model: StableDiffusion, names: list[int]) -> Tensor:
    return torch.stack([torch.randn(model.latent_shape, generator=generator(0, i)).double() for i in names])


def starts(model: StableDiffusion, names: list[int]) -> Tensor:
    return torch.cat([model.encode_prompts(tiny.prompts(1, i)) for i in names])


def noise_of(
    model: StableDiffusion, names: list[int], fixed: bool = False
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Each target's own (noise, timesteps): new ones at each step, or always the first."""

    def draw(step: int) -> tuple[Tensor, Tensor]:
        streams = [generator(1, name, 0 if fixed else step) for name in names]
        noise = [torch.randn(PAIRS, *model.latent_shape, generator=s).double() for s in streams]
        return torch.stack(noise), torch.stack([torch.randint(1000, (PAIRS,), generator=s) for s in streams])

    return draw


def attack(model: StableDiffusion, names: list[int], **settings: object) -> Solution:
    chosen = {
        "latents": latents(model, names), "start": starts(model, names), "noise": noise_of(model, names),
        "steps": 3, "objective": denoising_loss, "constraint": unconstrained,
        "optimizer": partial(torch.optim.Adam, lr=0.1), "batch": 64, **settings,
    }  # fmt: skip
    return solve(model, **chosen)


def assert_same(one: Solution, other: Solution, rows: list[int]) -> None:
    torch.testing.assert_close(one.embeddings[rows], other.embeddings, rtol=0, atol=1e-8)
    torch.testing.assert_close(one.losses[rows], other.losses, rtol=1e-5, atol=1e-6)


def test_weights_are_untouched_and_never_get_gradients(
    make_diffusion: Callable[..., StableDiffusion],
) -> None:
    model = make_diffusion()
    before = {key: value.clone() for key, value in model.denoiser.state_dict().items()}
    model.denoiser.requires_grad_(True)  # as a defense in training hands it over
    model.denoiser.train()

    def objective(*inputs: object) -> Tensor:
        assert not any(p.requires_grad for p in model.denoiser.parameters())
        assert not model.denoiser.training
        return denoising_loss(*inputs)

    found = attack(model, [0, 1], start=starts(model, [0, 1]), objective=objective)
    assert (found.embeddings - starts(model, [0, 1])).abs().amin() > 0  # it did something
    assert all(torch.equal(value, before[key]) for key, value in model.denoiser.state_dict().items())
    assert all(p.grad is None for network in model.networks for p in network.parameters())
    assert all(p.requires_grad for p in model.denoiser.parameters())
    assert model.denoiser.training


def test_a_target_alone_or_in_any_company_has_the_same_trigger(model: StableDiffusion) -> None:
    together = attack(model, [0, 1, 2])
    assert_same(together, attack(model, [2, 0, 1]), [2, 0, 1])
    for name in range(3):
        assert_same(together, attack(model, [name]), [name])


@pytest.mark.parametrize("batch", [1, 4])
def test_the_size_of_the_calls_does_not_matter(model: StableDiffusion, batch: int) -> None:
    calls = []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    found = attack(model, [0, 1], batch=batch)
    hook.remove()
    assert max(calls) == batch
    assert sum(calls) == 2 * 3 * PAIRS
    assert_same(attack(model, [0, 1]), found, [0, 1])


def test_the_loss_on_fixed_noise_falls(model: StableDiffusion) -> None:
    found = attack(
        model, [0, 1], noise=noise_of(model, [0, 1], fixed=True), steps=8,
        optimizer=partial(torch.optim.Adam, lr=0.02),
    )  # fmt: skip
    assert found.losses.shape == (2, 8)
    assert (found.losses[:, -1] < found.losses[:, 0]).all()
    assert (found.failed == -1).all()


def test_the_first_loss_is_that_of_the_start(model: StableDiffusion) -> None:
    noise, t = noise_of(model, [0])(0)
    z, y = latents(model, [0]), starts(model, [0])
    with torch.no_grad():
        loss = model.loss(z.expand(PAIRS, -1, -1, -1), y.expand(PAIRS, -1, -1), noise[0], t[0])
    assert attack(model, [0]).losses[0, 0].item() == pytest.approx(loss.mean().item(), rel=1e-6)


def test_a_plain_gradient_step_is_a_gradient_step(model: StableDiffusion) -> None:
    """One step of SGD, against autograd on the mean loss of the target's pairs."""
    (noise, t), z = noise_of(model, [0])(0), latents(model, [0])
    y = starts(model, [0]).requires_grad_(True)
    with torch.enable_grad():
        loss = model.loss(z.expand(PAIRS, -1, -1, -1), y.expand(PAIRS, -1, -1), noise[0], t[0])
        (gradient,) = torch.autograd.grad(loss.mean(), y)
    found = attack(model, [0], steps=1, optimizer=partial(torch.optim.SGD, lr=10.0), batch=2)
    torch.testing.assert_close(found.embeddings, y.detach() - 10 * gradient, rtol=0, atol=1e-9)


def test_every_step_ends_inside_the_ball(model: StableDiffusion) -> None:
    visited = []

    def ball(y: Tensor, start: Tensor) -> Tensor:
        visited.append(l2_ball(y, start, 0.01))
        return visited[-1]

    start = starts(model, [0, 1])
    found = attack(model, [0, 1], constraint=ball)
    moved = torch.linalg.vector_norm(found.embeddings - start, dim=(1, 2))
    torch.testing.assert_close(moved, 0.01 * torch.linalg.vector_norm(start, dim=(1, 2)))
    assert len(visited) == 3
    assert torch.equal(found.embeddings, visited[-1])


def test_nan_latents_fail_at_once_and_alone(model: StableDiffusion) -> None:
    spoilt = latents(model, [0, 1, 2])
    spoilt[1, 0, 0, 0] = torch.nan
    found = attack(model, [0, 1, 2], latents=spoilt, batch=4)
    assert found.failed.tolist() == [-1, 0, -1]
    assert torch.equal(found.embeddings[1], starts(model, [1])[0])
    assert found.losses[1].isnan().all()
    assert_same(found, attack(model, [0, 2]), [0, 2])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_later_failure_keeps_the_last_good_embedding(model: StableDiffusion, bad: float) -> None:
    def noise(step: int) -> tuple[Tensor, Tensor]:
        drawn, t = noise_of(model, [0, 1])(step)
        if step == 2:
            drawn[0, 1] = bad
        return drawn, t

    found = attack(model, [0, 1], noise=noise, steps=4)
    assert found.failed.tolist() == [2, -1]
    torch.testing.assert_close(
        found.embeddings[:1], attack(model, [0], steps=2).embeddings, rtol=0, atol=1e-8
    )
    torch.testing.assert_close(
        found.embeddings[1:], attack(model, [1], steps=4).embeddings, rtol=0, atol=1e-8
    )


def test_the_callback_sees_every_step(model: StableDiffusion) -> None:
    seen = []
    found = attack(
        model, [0, 1], callback=lambda steps, y, loss: seen.append((steps, y.clone(), loss.clone()))
    )
    assert [steps for steps, _, _ in seen] == [0, 1, 2, 3]
    assert torch.equal(seen[0][1], starts(model, [0, 1]))
    assert torch.equal(seen[-1][1], found.embeddings)
    assert torch.equal(torch.stack([loss for _, _, loss in seen[1:]], 1), found.losses)
    assert torch.equal(seen[1][1], attack(model, [0, 1], steps=1).embeddings)


def test_a_target_that_is_taken_out_rests_and_costs_nothing(model: StableDiffusion) -> None:
    samples = []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    found = attack(
        model, [0, 1], steps=4,
        callback=lambda steps, y, loss: torch.tensor([steps == 2, steps == 3]),
    )  # fmt: skip
    hook.remove()
    assert samples == [2 * PAIRS, 2 * PAIRS, PAIRS]  # and the solve ends with the last of them
    for row, steps in ((0, 2), (1, 3)):
        alone = attack(model, [row], steps=steps)
        torch.testing.assert_close(found.embeddings[row], alone.embeddings[0], rtol=0, atol=1e-8)
        assert found.losses[row].isfinite().tolist() == [step < steps for step in range(4)]
    assert (found.failed == -1).all()


def test_calls_are_halved_until_they_fit(model: StableDiffusion) -> None:
    tried = []

    def objective(diffusion: StableDiffusion, z: Tensor, *rest: Tensor) -> Tensor:
        tried.append(len(z))
        if len(z) > 2:
            raise torch.OutOfMemoryError
        return denoising_loss(diffusion, z, *rest)

    found = attack(model, [0, 1], batch=8, objective=objective)
    assert [size for size in tried if size > 2] == [6, 4]
    assert found.batch == 2
    assert_same(attack(model, [0, 1]), found, [0, 1])


def test_no_memory_for_one_sample_is_said(model: StableDiffusion) -> None:
    def objective(*inputs: object) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(InputError, match="the memory of cpu is too small for one sample"):
        attack(model, [0, 1], objective=objective)


def test_gradients_survive_half_precision(make_diffusion: Callable[..., StableDiffusion]) -> None:
    """A mean over eight pairs of SD's 16,384 latent values, spread over 59,136 coordinates, is small."""
    smaller = (5 * 8 * 8 * PAIRS) / (16_384 * 8) * (tiny.TOKENS * tiny.WIDTH / 59_136) ** 0.5
    steps = []
    for dtype in ("float32", "float16"):
        model = make_diffusion("epsilon", dtype=dtype)
        y = make_diffusion("epsilon").encode_prompts(tiny.prompts(1))
        found = attack(
            model, [0], start=y, steps=1, optimizer=partial(torch.optim.SGD, lr=1 / smaller),
            objective=lambda *inputs: smaller * denoising_loss(*inputs),
        )  # fmt: skip
        steps.append((found.embeddings - y).flatten())
    assert torch.cosine_similarity(*steps, dim=0) > 0.99
