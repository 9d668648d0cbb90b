"""Pictures to latents and back."""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor, size: int) -> Tensor:
    """Scaled latents (n, c, h, w), the posterior's means, of uint8 images (n, 3, H, W), ``size`` at once."""
    parts = (part.to(vae.device, vae.dtype) / 127.5 - 1 for part in images.split(size))
    means = torch.cat([vae.encode(part).latent_dist.mean for part in parts])
    return (means - _shift(vae)) * vae.config.scaling_factor


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor, size: int) -> Tensor:
    """uint8 images (n, 3, H, W), on the CPU, of scaled latents (n, c, h, w)."""
    unscaled = (z.to(vae.dtype) / vae.config.scaling_factor + _shift(vae) for z in latents.split(size))
    parts = (vae.decode(z).sample for z in unscaled)
    return torch.cat([((x / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu() for x in parts])


def problems(vae: dict[str, Any], shifted: bool) -> Iterator[str]:
    """What is wrong with a configuration; ``shifted``: whether the family's latents have a shift."""
    for key in ("latents_mean", *(() if shifted else ("shift_factor",))):
        if vae[key] is not None:
            yield f"{key} is {vae[key]!r}: an autoencoder of another family"
    if not isinstance(vae["scaling_factor"], float | int) or vae["scaling_factor"] <= 0:
        yield f"scaling_factor is {vae['scaling_factor']!r}: write the model's own there, or leave it out"
    if (vae["in_channels"], vae["out_channels"]) != (3, 3):
        yield f"the autoencoder takes {vae['in_channels']} and gives {vae['out_channels']} channels, not 3"


def reduction(vae: dict[str, Any]) -> int:
    """Pixels to a latent's side."""
    return 2 ** (len(vae["block_out_channels"]) - 1)


def _shift(vae: AutoencoderKL) -> float:
    return vae.config.shift_factor or 0.0
