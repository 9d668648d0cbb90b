"""Where a training runs, and until when."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor


class TimeUp(Exception):
    """The deadline has passed; the state is kept, and the same call goes on from there."""


@dataclass(frozen=True)
class Machine:
    """Where and how a training runs; the result is the same, but for rounding and a device's random numbers.

    Args:
        device: ``cpu`` or ``cuda``.
        deadline: the ``time.time()`` at which a training stops, to go on later; None: never.
        half: bfloat16 where autocast says so; on CUDA alone.
        save_minutes: between two checkpoints, beside those at every so many steps.
    """

    device: str = "cpu"
    deadline: float | None = None
    half: bool = False
    save_minutes: float = 5.0

    def autocast(self) -> AbstractContextManager:
        """Around what may run in half precision."""
        if self.half and self.device != "cpu":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    @property
    def over(self) -> bool:
        """Whether the time that was given is spent."""
        return self.deadline is not None and time.time() > self.deadline


CPU = Machine()


def drawn(count: int, batch: int, generator: torch.Generator) -> Tensor:
    """Places (batch,) among ``count``, on the generator's device."""
    return torch.randint(count, (batch,), generator=generator, device=generator.device)
