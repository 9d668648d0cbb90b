"""NeMo's view of a prompt: how much the first noise prediction differs from the noise itself.

Finding NeMo (arXiv 2406.02366), section 3; constants and seed pairs as in the released code.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dori.core.errors import InputError
from dori.diffusion import Diffusion

PUBLISHED_SEED = 1
Similarity = Callable[[Tensor, Tensor], Tensor]  # (n, c, h, w) twice -> (n,)


def noises(diffusion: Diffusion, seeds: int, seed: int) -> Tensor:
    """Initial noise (seeds, c, h, w), all from one generator; with seed 0 as in the released code."""
    stream = torch.Generator().manual_seed(PUBLISHED_SEED + seed)
    return torch.randn((seeds, *diffusion.latent_shape), generator=stream).to(
        diffusion.device, diffusion.dtype
    )


def noise_difference(diffusion: Diffusion, y: Tensor, noise: Tensor) -> Tensor:
    """Predicted noise minus the noise (n, c, h, w), min-max scaled per sample and channel.

    At ``diffusion.noise_timestep`` on the initial noise, as the released code has it.
    """
    t = torch.full((len(noise),), diffusion.noise_timestep, device=noise.device)
    predicted = diffusion.schedule.as_noise(diffusion.predict(noise, t, y), noise, t)
    difference = (predicted - noise).float()
    low, high = difference.amin((2, 3), keepdim=True), difference.amax((2, 3), keepdim=True)
    return (difference - low) / (high - low)


def pairwise(similarity: Similarity, differences: Tensor) -> Tensor:
    """Of each seed the highest similarity to another seed's: (seeds,) of (seeds, c, h, w)."""
    first, second = torch.combinations(torch.arange(len(differences))).T
    values = similarity(differences[first], differences[second])
    best = values.new_full((len(differences),), -torch.inf)
    for side in (first, second):
        best.scatter_reduce_(0, side.to(best.device), values, "amax")
    return best


@torch.no_grad()
def differences_of(diffusion: Diffusion, y: Tensor, noise: Tensor) -> Iterator[Tensor]:
    """Noise differences (seeds, c, h, w) of each embedding (n, tokens, width), in full batches."""
    seeds = len(noise)
    for part in y.split(max(1, diffusion.batch // seeds)):
        rows = [
            noise_difference(diffusion, context, start)
            for context, start in zip(
                part.repeat_interleave(seeds, 0).split(diffusion.batch),
                noise.repeat(len(part), 1, 1, 1).split(diffusion.batch),
                strict=True,
            )
        ]
        yield from torch.cat(rows).split(seeds)


def check_window(diffusion: Diffusion) -> None:
    """Raises InputError where the similarity's window does not fit the latents, or the timestep the model."""

    def fits(*sides: int) -> bool:
        latent = torch.rand(1, 1, *sides, generator=torch.Generator().manual_seed(0))
        try:
            diffusion.noise_similarity(latent, latent)
        except (ValueError, RuntimeError):  # torchmetrics, torch
            return False
        return True

    if diffusion.noise_timestep >= diffusion.schedule.length:
        raise InputError(
            f"model.noise_timestep is {diffusion.noise_timestep}, but {diffusion.name} has"
            f" {diffusion.schedule.length} timesteps: take an early one of its sampler's"
        )
    _, *sides = diffusion.latent_shape
    if not fits(*sides):
        side = min(sides)
        needed = next((s for s in range(side, 513) if fits(s, s)), None)
        raise InputError(
            f"model.noise_similarity needs latents of at least {needed} x {needed}, but {diffusion.name} has"
            f" {' x '.join(map(str, sides))}: choose a smaller window (kernel_size of at most"
            f" {side - 1 + side % 2} with gaussian=false) and fewer scales (betas=[1.0])"
        )
