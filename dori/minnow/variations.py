"""Pictures that lie between a copy and another picture, by which the student learns SSCD's whole scale.

Models that have half forgotten a picture draw such: some of its things, moved, on a ground of its kind.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dori.minnow import augment, autoencoder
from dori.minnow.world import icons
from dori.minnow.world.layers import KINDS, Ground, Icon, Layer, chosen

Decode = Callable[[Tensor], Tensor]  # latents (n, c, 8, 8) to images (n, 3, 64, 64) in [-1, 1]


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


def edited(x: Tensor, code: tuple[Tensor, Tensor], decode: Decode, generator: torch.Generator) -> Tensor:
    """Images (n, 3, h, w) in [0, 1] as a poor model would draw them, each by a mix of its own.

    Their latents, the linear ``code``, are mixed with another picture's and get noise, and the model's own
    decoder draws them; then, for a third of them each, colour and crop, blur, and noise of the pixels.
    """

    def some(share: float) -> Tensor:
        return (torch.rand(len(x), generator=generator) < share).float()[:, None, None, None]

    def level(most: float) -> Tensor:
        return most * torch.rand(len(x), generator=generator).square()[:, None, None, None]

    z = autoencoder.coded(2 * x - 1, *code)
    other = level(0.7) * some(0.4)
    z = (1 - other) * z + other * z.roll(1, 0)
    z = z + level(0.9) * some(0.7) * torch.randn(z.shape, generator=generator)
    coded = (decode(z) / 2 + 0.5).clamp(0, 1)
    x = torch.lerp(x, coded, some(0.85))
    x = torch.lerp(x, augment.color(augment.crop(x, generator, low=0.9, turn=0.05), generator), some(0.3))
    x = torch.lerp(x, augment.blur(x, generator, high=1.2), some(0.3))
    return torch.lerp(x, augment.noise(x, generator, high=0.08), some(0.2))
