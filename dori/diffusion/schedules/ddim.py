"""DDPM's schedule with DDIM's sampler: Stable Diffusion 1 and 2, and XL."""

from collections.abc import Iterator
from functools import partial

import torch
from diffusers import DDIMScheduler, PNDMScheduler
from torch import Tensor

from dori.diffusion.checks.schedule import check_steps, pndm_of
from dori.diffusion.schedules import Advance


class Ddim:
    """z_t = sqrt(a) z + sqrt(1 - a) noise; the loss is of the noise, which some networks give as v.

    Times are drawn uniformly, as these models were trained. DDIM (arXiv 2010.02502) without its own noise:
    the same picture for the same start.
    """

    def __init__(self, scheduler: DDIMScheduler):
        self.scheduler = scheduler

    @property
    def length(self) -> int:
        return self.scheduler.config.num_train_timesteps

    @property
    def predicts(self) -> str:
        return self.scheduler.config.prediction_type

    def draw(self, n: int, stream: torch.Generator, window: tuple[int, int] | None = None) -> Tensor:
        return torch.randint(*(window or (0, self.length)), (n,), generator=stream)

    def asked(self, t: Tensor) -> Tensor:
        return t

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        a = self.scheduler.alphas_cumprod.to(like)[t].view(-1, 1, 1, 1)
        return a.sqrt(), (1 - a).sqrt()

    def noised(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return self.scheduler.add_noise(z, noise, t)

    def target(self, z: Tensor, noise: Tensor) -> Tensor:
        return noise

    def predicted(self, out: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        if self.predicts == "epsilon":
            return out
        signal, noise = self.scales(t, z_t)
        return signal * out + noise * z_t

    def as_noise(self, predicted: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        return predicted

    def weights(self, cap: float, t: Tensor) -> Tensor:
        weight = (1 / self.scheduler.alphas_cumprod).clamp(max=cap)
        return (weight / weight.mean()).to(t.device)[t]

    def check_steps(self, steps: int, name: str) -> None:
        check_steps(self.scheduler, steps, name)

    def walk(
        self, steps: int, shape: tuple[int, ...], plms: bool = False
    ) -> Iterator[tuple[Tensor, Advance]]:
        scheduler = pndm_of(self.scheduler) if plms else DDIMScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            yield t, partial(_advanced, scheduler, t)

    def first(self, steps: int, shape: tuple[int, ...]) -> int:
        return int(next(self.walk(steps, shape))[0])

    def stride(self, steps: int, step: int, shape: tuple[int, ...]) -> tuple[int, int]:
        width = self.length // steps
        low = (steps - 1 - step) * width
        return low, low + width


def _advanced(scheduler: DDIMScheduler | PNDMScheduler, t: Tensor, out: Tensor, z: Tensor) -> Tensor:
    return scheduler.step(out, t, z).prev_sample
