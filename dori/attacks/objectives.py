"""What an attack descends: a loss per sample, (n,), for latents, embeddings, noise and timesteps."""

import torch
from torch import Tensor

from dori.diffusion import StableDiffusion


def denoising_loss(diffusion: StableDiffusion, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Mean squared error of the predicted noise, without guidance (Finding DoRI, the attack)."""
    return diffusion.denoising_loss(z, y, noise, t)


def guided_denoising_loss(
    diffusion: StableDiffusion, z: Tensor, y: Tensor, noise: Tensor, t: Tensor, guidance: float
) -> Tensor:
    """The same of the guided prediction, as the sampler makes it; ours.

    The empty prompt's half does not depend on ``y``, and gets no gradient.
    """
    z_t = diffusion.scheduler.add_noise(z, noise, t)
    with torch.no_grad():
        unconditional = diffusion.predict_noise(z_t, t, diffusion.empty.to(y.dtype).expand_as(y))
    conditional = diffusion.predict_noise(z_t, t, y)
    predicted = unconditional + guidance * (conditional - unconditional)
    return (predicted - noise).float().square().mean((1, 2, 3))
