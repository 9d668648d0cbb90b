"""Rectified flow with Euler's sampler: Stable Diffusion 3, FLUX, and what came after them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift
from torch import Tensor

from dori.core.errors import InputError
from dori.diffusion.schedules import Advance


@dataclass(frozen=True)
class Density:
    """How often the levels of [0, 1] are trained at: the share of draws below a level, and the inverse."""

    share: Callable[[Tensor], Tensor]
    level: Callable[[Tensor], Tensor]


UNIFORM = Density(torch.clone, torch.clone)
# the sigmoid of N(0, 1) (Esser et al., arXiv 2403.03206, with which SD 3 was trained)
LOGIT_NORMAL = Density(lambda x: torch.special.ndtr(x.logit()), lambda p: torch.special.ndtri(p).sigmoid())


class Flow:
    """z_t = (1 - s) z + s noise; the network gives the velocity noise - z, and the loss is of that.

    Times are places in the scheduler's own 1,000 noise levels s, shifted as it says, as diffusers'
    training scripts have it.

    Args:
        density: of the training's draws, over the unshifted levels.
        even: whether the sampler's levels are even between 1 and 1 / steps, as FLUX's pipeline has them;
            else between the scheduler's highest and its lowest, as SD 3's has them.
    """

    def __init__(self, scheduler: FlowMatchEulerDiscreteScheduler, density: Density, even: bool):
        self.scheduler, self.density, self.even = scheduler, density, even
        self.levels = scheduler.sigmas.flip(0)

    @property
    def length(self) -> int:
        return len(self.levels)

    @property
    def predicts(self) -> str:
        return "velocity"

    def draw(self, n: int, stream: torch.Generator, window: tuple[int, int] | None = None) -> Tensor:
        window = window or (0, self.length)
        # the inverse of a distribution between two of its quantiles: no draw is thrown away
        low, high = self.density.share(torch.tensor(window, dtype=torch.float64) / self.length)
        share = low + (high - low) * torch.rand(n, generator=stream, dtype=torch.float64)
        return (self.density.level(share) * self.length).long().clamp(window[0], window[1] - 1)

    def asked(self, t: Tensor) -> Tensor:
        return self.levels.to(t.device)[t] * self.scheduler.config.num_train_timesteps

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        level = self.levels.to(like)[t].view(-1, 1, 1, 1)
        return 1 - level, level

    def noised(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        signal, level = self.scales(t, z)
        return signal * z + level * noise

    def target(self, z: Tensor, noise: Tensor) -> Tensor:
        return noise - z

    def predicted(self, out: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        return out

    def as_noise(self, predicted: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        signal, _ = self.scales(t, z_t)
        return z_t + signal * predicted

    def weights(self, cap: float, t: Tensor) -> Tensor:
        raise InputError("model.loss_weight_cap is of models that predict noise: set it to null")

    def check_steps(self, steps: int, name: str) -> None:
        if steps > self.length:
            raise InputError(f"{name}={steps}, but the model has {self.length} timesteps: take fewer steps")

    def walk(
        self, steps: int, shape: tuple[int, ...], plms: bool = False
    ) -> Iterator[tuple[Tensor, Advance]]:
        # PNDM is of models that predict noise: here it is Euler's sampler either way
        scheduler = self._sampler(steps, shape)
        for t in scheduler.timesteps:
            yield t, partial(_advanced, scheduler, t)

    def first(self, steps: int, shape: tuple[int, ...]) -> int:
        return self._place(float(self._sampler(steps, shape).sigmas[0]))

    def stride(self, steps: int, step: int, shape: tuple[int, ...]) -> tuple[int, int]:
        high, low = (
            self._place(float(level)) for level in self._sampler(steps, shape).sigmas[step : step + 2]
        )
        return min(low, high), high + 1

    def _sampler(self, steps: int, shape: tuple[int, ...]) -> FlowMatchEulerDiscreteScheduler:
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(self.scheduler.config)
        told: dict[str, Any] = {}
        if scheduler.config.use_dynamic_shifting:
            config, patches = scheduler.config, (shape[1] // 2) * (shape[2] // 2)
            told["mu"] = calculate_shift(
                patches, config.base_image_seq_len, config.max_image_seq_len, config.base_shift,
                config.max_shift,
            )  # fmt: skip
        if self.even:
            told["sigmas"] = np.linspace(1.0, 1 / steps, steps)
        else:
            told["num_inference_steps"] = steps
        scheduler.set_timesteps(**told)
        scheduler.set_begin_index(0)
        return scheduler

    def _place(self, level: float) -> int:
        return int((self.levels - level).abs().argmin())


def _advanced(scheduler: FlowMatchEulerDiscreteScheduler, t: Tensor, out: Tensor, z: Tensor) -> Tensor:
    return scheduler.step(out, t, z).prev_sample
