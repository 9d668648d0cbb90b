"""The solver: gradient descent on text embeddings, a batch of targets at once, weights frozen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dori.diffusion import StableDiffusion, frozen

Noise = Callable[[int], tuple[Tensor, Tensor]]
Objective = Callable[[StableDiffusion, Tensor, Tensor, Tensor, Tensor], Tensor]
Constraint = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """``embeddings`` (n, tokens, width), ``losses`` (n, steps); ``failed`` (n,): the first step with
    a loss that is not finite, or -1. A failed target keeps its last good embedding."""

    embeddings: Tensor
    losses: Tensor
    failed: Tensor


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
) -> Solution:
    """Minimise the objective over the embeddings (Finding DoRI, the attack).

    Args:
        latents: (n, c, h, w), of the images to bring back.
        start: (n, tokens, width).
        noise: step -> (noise (n, pairs, c, h, w), timesteps (n, pairs)).
        batch: most samples in one U-Net call; the pairs of a step are split to fit.

    Each target's gradient is that of its own mean loss, and the optimizer works coordinate by
    coordinate, so a target's result is the same alone and in any company.
    """
    y = start.clone().requires_grad_(True)
    optim = optimizer([y])
    failed = torch.full((len(y),), -1)
    losses = []
    with frozen(diffusion.unet), torch.enable_grad():
        for step in range(steps):
            optim.zero_grad()
            loss = _backward(diffusion, latents, y, noise(step), objective, batch)
            assert y.grad is not None
            bad = ~torch.isfinite(loss) | ~torch.isfinite(y.grad).all(-1).all(-1).cpu()
            failed[bad & (failed < 0)] = step
            losses.append(loss)
            before = y.detach().clone()
            y.grad[failed >= 0] = 0
            optim.step()
            with torch.no_grad():
                moved = constraint(y, start)
                moved[failed >= 0] = before[failed >= 0]
                y.copy_(moved)
    return Solution(y.detach().cpu(), torch.stack(losses, 1), failed)


def _backward(
    diffusion: StableDiffusion,
    latents: Tensor,
    y: Tensor,
    drawn: tuple[Tensor, Tensor],
    objective: Objective,
    batch: int,
) -> Tensor:
    """Adds d(mean loss)/dy to ``y.grad``; returns the mean loss of each target (n,), on the CPU."""
    eps, t = drawn
    n, pairs = t.shape
    owner = torch.arange(n).repeat_interleave(pairs)
    total = torch.zeros(n)
    # the gradient of a mean over so many values is below what half precision holds; a power of two is exact
    scale = 2.0 ** round(math.log2(latents[0].numel()))
    for part in torch.arange(n * pairs).split(batch):
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
