"""The solver: gradient descent on what an attack moves, a batch of targets at once, weights frozen."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dori.attacks.climb import Callback, Constraint, Noise, Objective, Solution, climb
from dori.attacks.progress import Progress
from dori.core.errors import InputError
from dori.diffusion import Diffusion


def solve(
    diffusion: Diffusion,
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
    progress: Progress | None = None,
) -> Solution:
    """Minimise the objective over the embeddings (Finding DoRI, the attack).

    Args:
        latents: (n, ...), what the objective has to know of each target: its image's latents.
        start: (n, tokens, width), or (n, ...) of what else is moved.
        noise: step -> (noise (n, pairs, c, h, w), timesteps (n, pairs)).
        batch: most samples in one call of the denoiser; the pairs of a step are split to fit, and halved
            where the device's memory is too small.
        callback: looks on before the first step and after each, and may take targets out.
        progress: from which a killed solve goes on.

    Each target's gradient is that of its own mean loss, and the optimizer works coordinate by
    coordinate, so a target's result is the same alone and in any company.

    Raises:
        InputError: the device has no memory for one sample.
    """
    y = start.clone().requires_grad_(True)
    optim, progress = optimizer([y]), progress or Progress()
    progress.hold("optimizer", optim.state_dict, optim.load_state_dict)

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
        found = climb(diffusion, y, steps, descend, callback, progress)
    return Solution(*found, batch)


def evaluate(
    diffusion: Diffusion,
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
    diffusion: Diffusion,
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
