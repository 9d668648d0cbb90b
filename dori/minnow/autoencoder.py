"""Minnow's AutoencoderKL: 64 x 64 pictures to 8 x 8 latents, each channel of unit variance."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from dori.minnow import loop

LOG_VARIANCE = -6.0  # of the posterior; every latent used is its mean


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 (n, 64, 64, 3) to float (n, 3, 64, 64) in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def build(widths: list[int], latent_channels: int) -> AutoencoderKL:
    blocks = len(widths)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=tuple(widths),
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=1.0,
    )


def _error(x: Tensor, y: Tensor) -> Tensor:
    error = (x - y).abs().mean() + 2.0 * F.mse_loss(x, y)
    # edges carry what a copy detector looks at, and a mean error alone blurs them
    for dim in (2, 3):
        error = error + (x.diff(dim=dim) - y.diff(dim=dim)).abs().mean()
    return error


def code(pixels: Tensor, channels: int, patch: int = 8) -> tuple[Tensor, Tensor]:
    """The whitened linear code of patches that the latents aim at: (192, channels) matrix and mean.

    Trained freely, so small an autoencoder uses a third of its channels; led to the principal
    components of the patches, all of them count and each has unit variance from the start.
    """
    x = F.unfold(to_unit(pixels), patch, stride=patch).permute(0, 2, 1).flatten(0, 1)
    mean = x.mean(0)
    _, spread, axes = torch.linalg.svd(x - mean, full_matrices=False)
    # an axis has no sign of its own: fixed, so that every machine finds the same
    axes = axes[:channels] * axes[:channels].sum(1, keepdim=True).sign()
    return (axes / (spread[:channels, None] / len(x) ** 0.5)).T, mean


def coded(images: Tensor, matrix: Tensor, mean: Tensor, patch: int = 8) -> Tensor:
    """The code (n, channels, 8, 8) of images (n, 3, 64, 64) in [-1, 1]."""
    x = F.unfold(images, patch, stride=patch).permute(0, 2, 1)
    side = images.shape[-1] // patch
    return ((x - mean) @ matrix).permute(0, 2, 1).unflatten(2, (side, side))


def train_encoder(
    pixels: Tensor, matrix: Tensor, mean: Tensor, folder: Path, cfg: dict, seed: int
) -> AutoencoderKL:
    """Train the encoder of a new autoencoder to give the linear code of ``pixels``, uint8."""
    torch.manual_seed(seed)
    model = build(cfg["widths"], cfg["latent_channels"])
    model.decoder.requires_grad_(False)
    model.post_quant_conv.requires_grad_(False)
    own = cfg["encoder"]

    def loss(step: int, generator: torch.Generator) -> Tensor:
        x = to_unit(pixels[torch.randint(len(pixels), (own["batch"],), generator=generator)])
        posterior = model.encode(x).latent_dist
        spread = (posterior.logvar - LOG_VARIANCE).square().mean()
        return F.mse_loss(posterior.mean, coded(x, matrix, mean)) + 0.01 * spread

    loop.fit(model, loss, folder, steps=own["steps"], lr=cfg["lr"], seed=seed, ema=0.995, name="encoder")
    return model.eval()


def train_decoder(pixels: Tensor, latents: Tensor, folder: Path, cfg: dict, seed: int) -> AutoencoderKL:
    """Train the decoder of a new autoencoder on ``latents``, the linear code of ``pixels``.

    It does better than the code's own inverse, for it sees the neighbouring patches. The noise on
    the latents stands for the U-Net's errors.
    """
    torch.manual_seed(seed)
    model = build(cfg["widths"], cfg["latent_channels"])
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    own = cfg["decoder"]

    def loss(step: int, generator: torch.Generator) -> Tensor:
        batch = torch.randint(len(pixels), (own["batch"],), generator=generator)
        z = latents[batch] + own["noise"] * torch.randn(latents[batch].shape, generator=generator)
        return _error(to_unit(pixels[batch]), model.decode(z).sample)

    loop.fit(model, loss, folder, steps=own["steps"], lr=cfg["lr"], seed=seed, ema=0.998, name="decoder")
    return model.eval()


def joined(encoder: AutoencoderKL, decoder: AutoencoderKL) -> AutoencoderKL:
    """One autoencoder from the two halves."""
    decoder.encoder, decoder.quant_conv = encoder.encoder, encoder.quant_conv
    return decoder.requires_grad_(False).eval()
