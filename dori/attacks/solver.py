"""The solver: gradient descent on text embeddings, a batch of targets at once, weights frozen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dori.diffusion import StableDiffusion, frozen
from dori.errors import InputError

Noise = Callable[[int], tuple[Tensor, Tensor]]
Objective = Callable[[StableDiffusion, Tensor, Tensor, Tensor, Tensor], Tensor]
Constraint = Callable[[Tensor, Tensor], Tensor]
# (steps done, embeddings, the last step's losses (n,)) -> which to leave alone from here on, or None
Callback = Callable[[int, Tensor, Tensor], Tensor | None]


@dataclass(frozen=True)
class Solution:
    """``embeddings`` (n, tokens, width), ``losses`` (n, steps); ``failed`` (n,): the first step with
    a loss that is not finite, or -1. A failed target keeps its last good embedding, and the losses
    that were not computed any more are NaN. ``batch``: the samples that fitted in one U-Net call."""

    embeddings: Tensor
    losses: Tensor
    failed: Tensor
    batch: int


def solve(
    diffusion: StableDiffusion,
    latents: Tensor,
    start: Tensor,
    noise: Noise,
    *,
    steps: int,
    objective: Objective,
    constraint: Constraint,
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    batch: int,
    callback: Callback | None = None,
) -> Solution:
    """Minimise the objective over the embeddings (Finding DoRI, the attack).

    Args:
        latents: (n, c, h, w), of the images to bring back.
        start: (n, tokens, width).
        noise: step -> (noise (n, pairs, c, h, w), timesteps (n, pairs)).
        batch: most samples in one U-Net call; the pairs of a step are split to fit, and halved
            where the device's memory is too small.
        callback: looks on before the first step and after each, and may take targets out.

    Each target's gradient is that of its own mean loss, and the optimizer works coordinate by
    coordinate, so a target's result is the same alone and in any company.

    Raises:
        InputError: the device has no memory for one sample.
    """
    y = start.clone().requires_grad_(True)
    optim = optimizer([y])
    failed, active = torch.full((len(y),), -1), torch.ones(len(y), dtype=torch.bool)
    losses = torch.full((len(y), steps), torch.nan)

    def left(done: int, loss: Tensor) -> Tensor:
        out = callback(done, y.detach(), loss) if callback else None
        return active if out is None else active & ~out

    active = left(0, torch.full((len(y),), torch.nan))
    with frozen(diffusion.unet), torch.enable_grad():
        for step in range(steps):
            if not active.any():
                break
            optim.zero_grad()
            loss, batch = _backward(diffusion, latents, y, noise(step), active, objective, batch)
            assert y.grad is not None
            losses[:, step] = loss
            bad = active & ~(torch.isfinite(loss) & torch.isfinite(y.grad).all(-1).all(-1).cpu())
            failed[bad] = step
            active = active & ~bad
            before = y.detach().clone()
            y.grad[~active] = 0
            optim.step()
            with torch.no_grad():
                moved = constraint(y, start)
                moved[~active] = before[~active]
                y.copy_(moved)
            active = left(step + 1, loss)
    return Solution(y.detach().cpu(), losses, failed, batch)


def _backward(
    diffusion: StableDiffusion,
    latents: Tensor,
    y: Tensor,
    drawn: tuple[Tensor, Tensor],
    active: Tensor,
    objective: Objective,
    batch: int,
) -> tuple[Tensor, int]:
    """Sets ``y.grad`` to d(mean loss)/dy; the mean loss of each target (n,), and what fitted."""
    while True:
        try:
            return _pass(diffusion, latents, y, drawn, active, objective, batch), batch
        except torch.OutOfMemoryError:
            if batch == 1:
                raise InputError(
                    f"the memory of {diffusion.device} is too small for one sample; use a lower model.dtype"
                ) from None
        # out of the handler, whose traceback holds what is to be freed
        y.grad, batch = None, batch // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _pass(
    diffusion: StableDiffusion,
    latents: Tensor,
    y: Tensor,
    drawn: tuple[Tensor, Tensor],
    active: Tensor,
    objective: Objective,
    batch: int,
) -> Tensor:
    eps, t = drawn
    n, pairs = t.shape
    owner = torch.arange(n).repeat_interleave(pairs)
    total = torch.zeros(n).masked_fill(~active, torch.nan)
    # the gradient of a mean over so many values is below what half precision holds; a power of two is exact
    scale = 2.0 ** round(math.log2(latents[0].numel()))
    for part in active.repeat_interleave(pairs).nonzero()[:, 0].split(batch):
        who, device, dtype = owner[part], diffusion.device, diffusion.dtype
        loss = objective(
            diffusion,
            latents[who].to(device, dtype),
            y[who].to(device, dtype),
            eps.flatten(0, 1)[part].to(device, dtype),
            t.flatten()[part].to(device),
        )
        (loss.sum() * (scale / pairs)).backward()
        total.index_add_(0, who, loss.detach().float().cpu() / pairs)
    assert y.grad is not None
    y.grad /= scale
    return total
