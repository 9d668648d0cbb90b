"""How noise comes in and how it is taken out again: time, loss and sampler of a kind of model.

A time is a whole number from 0, the cleanest, to ``length`` - 1, the noisiest: a place among those that the
model was trained at.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

# (network's output, latents) -> latents of the next step
Advance = Callable[[Tensor, Tensor], Tensor]


class Schedule(Protocol):
    """What a time is, and what comes of noise at it."""

    @property
    def length(self) -> int:
        """Of the training, in times."""
        ...

    @property
    def predicts(self) -> str:
        """What the network gives, in a word."""
        ...

    def draw(self, n: int, stream: torch.Generator, window: tuple[int, int] | None = None) -> Tensor:
        """Times (n,), as often as the model was trained at them; of a window [low, high) or of all."""
        ...

    def asked(self, t: Tensor) -> Tensor:
        """What the network is given for times (n,)."""
        ...

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """The shares a and s of z_t = a z + s noise, (n, 1, 1, 1) each."""
        ...

    def noised(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Latents (n, c, h, w) with noise at times (n,)."""
        ...

    def target(self, z: Tensor, noise: Tensor) -> Tensor:
        """What ``predicted`` is compared with in the loss."""
        ...

    def predicted(self, out: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """What the network's output stands for, in the loss's terms."""
        ...

    def as_noise(self, predicted: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The noise that a prediction amounts to."""
        ...

    def weights(self, cap: float, t: Tensor) -> Tensor:
        """Of a loss weighted by 1 / alpha_bar, at most ``cap``, with mean 1 over all times: (n,)."""
        ...

    def check_steps(self, steps: int, name: str) -> None:
        """Raises InputError where the sampler cannot take so many."""
        ...

    def walk(
        self, steps: int, shape: tuple[int, ...], plms: bool = False
    ) -> Iterator[tuple[Tensor, Advance]]:
        """The sampler for latents (c, h, w): at each step what the network is given, and what follows.

        ``plms``: the one of Stable Diffusion 1.4's pipeline, PNDM, where the model has such; a call more.
        """
        ...

    def first(self, steps: int, shape: tuple[int, ...]) -> int:
        """The time at which the sampler starts."""
        ...

    def stride(self, steps: int, step: int, shape: tuple[int, ...]) -> tuple[int, int]:
        """The times [low, high) that a step of so many stands for."""
        ...


def squared(difference: Tensor) -> Tensor:
    """Mean over the latent's values of the squares, (n,), in float32."""
    return difference.float().square().mean((1, 2, 3))
