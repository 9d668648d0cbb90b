"""From noise to pictures, step by step: the same for all families."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dori.diffusion.family import Family

Predict = Callable[[Tensor, Tensor], Tensor]
Call = Callable[..., Tensor]


def walk(
    model: "Family", y: Tensor, z: Tensor, steps: int, guidance: float, call: Call | None,
    plms: bool = False,
) -> Iterator[Tensor]:  # fmt: skip
    """Latents after each step, from noise ``z`` (n, c, h, w).

    ``call(f, z, asked)`` is how the denoiser is called, e.g. by a checkpoint.
    """
    predict = guided(model, y, guidance)
    for asked, advance in model.schedule.walk(steps, tuple(z.shape[1:]), plms):
        out = call(predict, z, asked) if call else predict(z, asked)
        z = advance(out, z)
        yield z


def guided(model: "Family", y: Tensor, guidance: float) -> Predict:
    """The denoiser's answer with the pipeline's own guidance; ``empty`` is the half without the prompt."""
    if model.samples_at(guidance) == 1:
        return lambda z, asked: model.called(z, asked, y, guidance)
    context, scale = torch.cat([model.empty.to(y.dtype).expand_as(y), y]), model.scale(guidance)

    def predict(z: Tensor, asked: Tensor) -> Tensor:
        unconditional, conditional = model.called(torch.cat([z, z]), asked, context, guidance).chunk(2)
        return unconditional + scale * (conditional - unconditional)

    return predict


def sample(model: "Family", y: Tensor, noise: Tensor) -> Tensor:
    """uint8 images (n, 3, H, W) from conditionings (n, rows, width) and noise (n, c, h, w)."""
    images, size = [], model.samples_per_call
    for some, start in zip(y.split(size), noise.split(size), strict=True):
        place = {"device": model.device, "dtype": model.dtype}
        y, z = some.to(**place), start.to(**place)
        if model.guard:
            y = model.guard.embeddings(model, y, z)
        with model.guard.sampling(model) if model.guard else nullcontext():
            *_, z = model.denoise(y, z, steps=model.sampling_steps, guidance=model.guidance)
        images.append(model.decode(z))
    return torch.cat(images)
