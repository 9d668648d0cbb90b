"""Minnow's AutoencoderKL: 64 x 64 pictures to 8 x 8 latents, each channel of unit variance."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from dori.minnow import loop
from dori.minnow.machine import CPU, Machine, drawn

LOG_VARIANCE = -6.0  # of the posterior; every latent used is its mean


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 (n, 64, 64, 3) to float (n, 3, 64, 64) in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def build(widths: list[int], latent_channels: int) -> AutoencoderKL:
    """An untrained autoencoder whose levels have these ``widths``."""
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


def code(pixels: Tensor, channels: int, patch: int = 8, power: float = 1.0) -> tuple[Tensor, Tensor]:
    """The linear code of patches that the latents aim at: (192, channels) matrix and mean.

    Each component is divided by its spread to the ``power``: with 1 the latents are white; with less, those
    that show more in the picture also count more in the U-Net's loss. Their mean variance is one.
    Trained freely, so small an autoencoder uses a third of its channels; led to the principal
    components of the patches, all of them count and each has unit variance from the start.
    """
    x = F.unfold(to_unit(pixels), patch, stride=patch).permute(0, 2, 1).flatten(0, 1)
    mean = x.mean(0)
    _, spread, axes = torch.linalg.svd(x - mean, full_matrices=False)
    # an axis has no sign of its own: fixed, so that every machine finds the same
    axes = axes[:channels] * axes[:channels].sum(1, keepdim=True).sign()
    spread = spread[:channels] / len(x) ** 0.5
    scale = spread**-power / (spread ** (2 - 2 * power)).mean().sqrt()
    return (axes * scale[:, None]).T, mean


def coded(images: Tensor, matrix: Tensor, mean: Tensor, patch: int = 8) -> Tensor:
    """The code (n, channels, 8, 8) of images (n, 3, 64, 64) in [-1, 1]."""
    x = F.unfold(images, patch, stride=patch).permute(0, 2, 1)
    side = images.shape[-1] // patch
    return ((x - mean) @ matrix).permute(0, 2, 1).unflatten(2, (side, side))


def train_encoder(
    pixels: Tensor, matrix: Tensor, mean: Tensor, folder: Path, cfg: dict, seed: int, machine: Machine = CPU
) -> AutoencoderKL:
    """Train the encoder of a new autoencoder to give the linear code of ``pixels``, uint8."""
    torch.manual_seed(seed)
    model = build(cfg["widths"], cfg["latent_channels"])
    model.decoder.requires_grad_(False)
    model.post_quant_conv.requires_grad_(False)
    own = cfg["encoder"]
    pixels, matrix, mean = (tensor.to(machine.device) for tensor in (pixels, matrix, mean))

    def loss(step: int, generator: torch.Generator) -> Tensor:
        x = to_unit(pixels[drawn(len(pixels), own["batch"], generator)])
        posterior = model.encode(x).latent_dist
        spread = (posterior.logvar - LOG_VARIANCE).square().mean()
        return F.mse_loss(posterior.mean, coded(x, matrix, mean)) + 0.01 * spread

    loop.fit(
        model, loss, folder, steps=own["steps"], lr=cfg["lr"], seed=seed, ema=0.995, name="encoder",
        machine=machine,
    )  # fmt: skip
    return model.eval()


def train_decoder(
    pixels: Tensor, latents: Tensor, folder: Path, cfg: dict, seed: int, machine: Machine = CPU,
    start: AutoencoderKL | None = None, looks: nn.Module | None = None,
) -> AutoencoderKL:  # fmt: skip
    """Train a decoder on ``latents``, the linear code of ``pixels``: a new one, or that of ``start`` further.

    It does better than the code's own inverse, for it sees the neighbouring patches. The noise on
    the latents, for each picture up to ``noise``, stands for the U-Net's errors. ``looks``, a descriptor of
    images in [0, 1], adds ``perceptual`` times 1 - its cosine.
    """
    torch.manual_seed(seed)
    model = build(cfg["widths"], cfg["latent_channels"]) if start is None else start
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    own = cfg["decoder" if start is None else "refinement"]
    pixels, latents = pixels.to(machine.device), latents.to(machine.device)
    if looks is not None:
        looks.to(machine.device).requires_grad_(False)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        batch = drawn(len(pixels), own["batch"], generator)
        x, z = to_unit(pixels[batch]), latents[batch]
        level = own["noise"] * torch.rand(len(z), 1, 1, 1, generator=generator, device=z.device)
        found = model.decode(z + level * torch.randn(z.shape, generator=generator, device=z.device)).sample
        error = _error(x, found)
        if looks is not None:
            cosine = (looks(x / 2 + 0.5) * looks((found / 2 + 0.5).clamp(0, 1))).sum(1)
            error = error + own["perceptual"] * (1 - cosine).mean()
        return error

    loop.fit(
        model, loss, folder, steps=own["steps"], lr=own["lr"], seed=seed, ema=0.998, name=folder.name,
        machine=machine,
    )  # fmt: skip
    return model.eval()


def joined(encoder: AutoencoderKL, decoder: AutoencoderKL) -> AutoencoderKL:
    """One autoencoder from the two halves."""
    decoder.encoder, decoder.quant_conv = encoder.encoder, encoder.quant_conv
    return decoder.requires_grad_(False).eval()
