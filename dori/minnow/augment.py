"""Random picture edits for the trainings; images are float (n, 3, h, w) in [0, 1]."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def crop(x: Tensor, generator: torch.Generator, low: float = 0.7, turn: float = 0.2) -> Tensor:
    """Random window of ``low``..1 of the side, turned by up to ``turn`` radians, resized back."""
    n = len(x)
    scale, angle = _uniform(n, low, 1.0, generator), _uniform(n, -turn, turn, generator)
    shift = (1 - scale)[:, None] * (2 * torch.rand(n, 2, generator=generator, device=generator.device) - 1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], 1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def color(x: Tensor, generator: torch.Generator, strength: float = 0.3) -> Tensor:
    """Random brightness, contrast, saturation and channel shifts."""
    n = len(x)
    contrast = _uniform(n, 1 - strength, 1 + strength, generator).view(n, 1, 1, 1)
    saturation = _uniform(n, 1 - 1.5 * strength, 1 + strength, generator).view(n, 1, 1, 1)
    shift = strength * 0.4 * (2 * torch.rand(n, 3, 1, 1, generator=generator, device=generator.device) - 1)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + contrast * (x - mean) + shift
    gray = x.mean(1, keepdim=True)
    return (gray + saturation * (x - gray)).clamp(0, 1)


def blur(x: Tensor, generator: torch.Generator, high: float = 1.8) -> Tensor:
    """Gaussian blur of one sigma up to ``high`` pixels for the whole batch."""
    sigma = float(_uniform(1, 0.2, high, generator))
    radius = math.ceil(2.5 * sigma)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=x.device) / sigma) ** 2)
    line = (line / line.sum()).view(1, 1, -1).repeat(3, 1, 1)
    x = F.pad(x, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, line[:, :, None], groups=3), line[:, :, :, None], groups=3)


def noise(x: Tensor, generator: torch.Generator, high: float = 0.12) -> Tensor:
    """Gaussian noise of up to ``high`` on pictures (n, 3, h, w), each of its own strength."""
    level = _uniform(len(x), 0, high, generator).view(-1, 1, 1, 1)
    return (x + level * torch.randn(x.shape, generator=generator, device=x.device)).clamp(0, 1)
