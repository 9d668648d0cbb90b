"""What an attack descends: a loss per sample, (n,), for latents, embeddings, noise and timesteps."""

import torch
from torch import Tensor

from dori.diffusion import Diffusion
from dori.diffusion.schedules import squared


def denoising_loss(diffusion: Diffusion, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The model's own loss, without guidance in two halves (Finding DoRI, the attack)."""
    return diffusion.loss(z, y, noise, t)


def guided_denoising_loss(
    diffusion: Diffusion, z: Tensor, y: Tensor, noise: Tensor, t: Tensor, guidance: float
) -> Tensor:
    """The same of the guided prediction, as the sampler makes it; ours.

    The empty prompt's half does not depend on ``y``, and gets no gradient.
    """
    z_t = diffusion.schedule.noised(z, noise, t)
    with torch.no_grad():
        unconditional = diffusion.predict(z_t, t, diffusion.empty.to(y.dtype).expand_as(y))
    conditional = diffusion.predict(z_t, t, y)
    predicted = unconditional + guidance * (conditional - unconditional)
    return squared(predicted - diffusion.schedule.target(z, noise))
