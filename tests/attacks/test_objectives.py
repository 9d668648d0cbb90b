"""What is descended, against the same written out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dori.attacks.objectives import denoising_loss, guided_denoising_loss
from dori.core.randomness import generator
from dori.diffusion import StableDiffusion
from tests import tiny


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def model(request: pytest.FixtureRequest, make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion(request.param, dtype="float64")


def samples(model: StableDiffusion) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = (3, *model.latent_shape)
    z, noise = (torch.randn(shape, generator=generator(0, name)).double() for name in ("z", "noise"))
    y = model.encode_prompts(tiny.prompts(3))
    return z, y.requires_grad_(True), noise, torch.tensor([3, 400, 900])


def test_guidance_one_is_no_guidance(model: StableDiffusion) -> None:
    inputs = samples(model)
    one, other = denoising_loss(model, *inputs), guided_denoising_loss(model, *inputs, guidance=1.0)
    torch.testing.assert_close(one, other)


def test_the_guided_loss_is_that_of_the_samplers_prediction(model: StableDiffusion) -> None:
    z, y, noise, t = samples(model)
    loss = guided_denoising_loss(model, z, y, noise, t, guidance=3.0)
    z_t = model.schedule.scheduler.add_noise(z, noise, t)
    without = model.predict(z_t, t, model.empty.expand_as(y)).detach()
    given = model.predict(z_t, t, y)
    expected = (3 * given - 2 * without - noise).square().mean((1, 2, 3))
    torch.testing.assert_close(loss, expected.float())
    found, wanted = (torch.autograd.grad(x.sum(), y, retain_graph=True)[0] for x in (loss, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-8)
