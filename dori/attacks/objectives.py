"""What an attack descends: a loss per sample, (n,), for latents, embeddings, noise and timesteps."""

from torch import Tensor

from dori.diffusion import StableDiffusion


def denoising_loss(diffusion: StableDiffusion, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Mean squared error of the predicted noise, without guidance (Finding DoRI, the attack)."""
    return diffusion.denoising_loss(z, y, noise, t)
