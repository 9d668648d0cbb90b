"""The solver: gradient descent on what an attack moves, a batch of targets at once, weights frozen."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dori.diffusion import StableDiffusion, frozen
from dori.errors import InputError

Noise = Callable[[int], tuple[Tensor, Tensor]]
Objective = Callable[[StableDiffusion, Tensor, Tensor, Tensor, Tensor], Tensor]
Constraint = Callable[[Tensor, Tensor], Tensor]
# (steps done, embeddings, the last step's losses (n,)) -> which to leave alone from here on, or None
Callback = Callable[[int, Tensor, Tensor], Tensor | None]
# (step, points, which of them to move (n,)) -> points, losses (n,), which of them are good (n,)
Advance = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class Search(Protocol):
    """What may climb in place of ``solve``: every option of ``attack.search``.

    ``gradients`` and ``forwards``: evaluations of a drawn pair at each step, forward and backward, and
    forward alone. ``streams``: random numbers of each attempt, of which there may be several times
    as many points, for sizes of the ball side by side.
    """

    @property
    def gradients(self) -> int: ...

    @property
    def forwards(self) -> int: ...

    def __call__(
        self, diffusion: StableDiffusion, latents: Tensor, start: Tensor, noise: Noise, *, steps: int,
        objective: Objective, constraint: Constraint, batch: int, callback: Callback | None,
        streams: list[torch.Generator],
    ) -> "Solution": ...  # fmt: skip


@dataclass(frozen=True)
class Solution:
    """``embeddings`` (n, tokens, width), or whatever was moved, ``losses`` (n, steps); ``failed``
    (n,): the first step with a loss that is not finite, or -1. A failed target keeps its last good
    embedding, and the losses that were not computed any more are NaN. ``batch``: the samples that
    fitted in one U-Net call."""

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
        latents: (n, ...), what the objective has to know of each target: its image's latents.
        start: (n, tokens, width), or (n, ...) of what else is moved.
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

    def descend(step: int, y: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal batch
        optim.zero_grad()
        loss, batch = evaluate(diffusion, latents, y, noise(step), active, objective, batch)
        assert y.grad is not None
        good = torch.isfinite(loss) & torch.isfinite(y.grad).flatten(1).all(1).cpu()
        y.grad[~(active & good)] = 0
        optim.step()
        return constraint(y.detach(), start), loss, good

    with torch.enable_grad():
        found = climb(diffusion, y, steps, descend, callback)
    return Solution(*found, batch)


def climb(
    diffusion: StableDiffusion, y: Tensor, steps: int, advance: Advance, callback: Callback | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Moves ``y`` in place, step by step; what fails or is taken out stays where it was.

    Returns:
        points (n, ...), losses (n, steps), failed (n,), as in ``Solution``.
    """
    failed, active = torch.full((len(y),), -1), torch.ones(len(y), dtype=torch.bool)
    losses = torch.full((len(y), steps), torch.nan)

    def left(done: int, loss: Tensor) -> Tensor:
        out = callback(done, y.detach(), loss) if callback else None
        return active if out is None else active & ~out

    active = left(0, torch.full((len(y),), torch.nan))
    with frozen(diffusion.unet):
        for step in range(steps):
            if not active.any():
                break
            before = y.detach().clone()
            moved, loss, good = advance(step, y, active)
            losses[:, step] = loss
            failed[active & ~good] = step
            active = active & good
            with torch.no_grad():
                before[active] = moved[active]
                y.copy_(before)
            active = left(step + 1, loss)
    return y.detach().cpu(), losses, failed


def evaluate(
    diffusion: StableDiffusion,
    latents: Tensor,
    y: Tensor,
    drawn: tuple[Tensor, Tensor],
    active: Tensor,
    objective: Objective,
    batch: int,
) -> tuple[Tensor, int]:
    """The mean loss of each target (n,), NaN where not ``active``, and what fitted in a call.

    Sets ``y.grad`` to d(mean loss)/dy where ``y`` wants a gradient.
    """
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
        if y.requires_grad:
            (loss.sum() * (scale / pairs)).backward()
        total.index_add_(0, who, loss.detach().float().cpu() / pairs)
    if y.grad is not None:
        y.grad /= scale
    return total
