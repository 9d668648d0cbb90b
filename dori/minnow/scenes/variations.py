"""Pictures that lie between a copy and another picture, by which the student learns SSCD's whole scale.

Models that have half forgotten a picture draw such: some of its things, moved, on a ground of its kind.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dori.minnow import augment
from dori.minnow.scenes import icons
from dori.minnow.scenes.layers import KINDS, Ground, Icon, Layer, chosen


def redrawn(picture: tuple[Layer, ...], rng: np.random.Generator) -> tuple[Layer, ...]:
    """The same layers, all moved, turned and tinted a little or much, some replaced or left out."""
    strength = float(rng.uniform()) ** 1.5
    kept = [layer for layer in picture if isinstance(layer, Ground) or rng.uniform() > 0.3 * strength]
    return tuple(_changed(layer, strength, rng) for layer in kept)


def _changed(layer: Layer, strength: float, rng: np.random.Generator) -> Layer:
    def moved(value: float, most: float) -> float:
        return value + strength * float(rng.uniform(-most, most))

    if isinstance(layer, Icon):
        place = chosen(rng, range(len(icons.POINTS))) if rng.uniform() < 0.4 * strength else layer.place
        return replace(
            layer, place=place, x=moved(layer.x, 10), y=moved(layer.y, 10), angle=moved(layer.angle, 0.6),
            hue=moved(layer.hue, 0.5), half=layer.half * moved(1, 0.35),
        )  # fmt: skip
    return replace(
        layer, kind=chosen(rng, KINDS) if rng.uniform() < 0.4 * strength else layer.kind,
        rgb=tuple(moved(value, 50) for value in layer.rgb), rgb2=tuple(moved(v, 50) for v in layer.rgb2),
        period=layer.period * moved(1, 0.4), angle=moved(layer.angle, 0.5),
        phase=tuple(moved(value, 0.4) for value in layer.phase), level=moved(layer.level, 0.3),
    )  # fmt: skip


def edited(x: Tensor, code: tuple[Tensor, Tensor], generator: torch.Generator, patch: int = 8) -> Tensor:
    """Images (n, 3, h, w) in [0, 1] as a poor model would draw them, each by a mix of its own.

    Their linear code is mixed with another picture's and gets noise; then, for half of them each, colour
    and crop, blur, and noise of the pixels.
    """

    def some(share: float) -> Tensor:
        return (torch.rand(len(x), generator=generator) < share).float()[:, None, None, None]

    def level(most: float) -> Tensor:
        return most * torch.rand(len(x), generator=generator).square()[:, None, None, None]

    matrix, mean = code
    z = (F.unfold(2 * x - 1, patch, stride=patch).permute(0, 2, 1) - mean) @ matrix
    other = level(0.7)[..., 0] * some(0.4)[..., 0]
    z = (1 - other) * z + other * z.roll(1, 0)
    z = z + (level(0.9) * some(0.7))[..., 0] * torch.randn(z.shape, generator=generator)
    back = (z @ torch.linalg.pinv(matrix) + mean).permute(0, 2, 1)
    coded = (F.fold(back, x.shape[-1], patch, stride=patch) / 2 + 0.5).clamp(0, 1)
    x = torch.lerp(x, coded, some(0.85))
    x = torch.lerp(x, augment.color(augment.crop(x, generator, low=0.9, turn=0.05), generator), some(0.3))
    x = torch.lerp(x, augment.blur(x, generator, high=1.2), some(0.3))
    return torch.lerp(x, augment.noise(x, generator, high=0.08), some(0.2))
