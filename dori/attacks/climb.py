"""Climbing step by step, whatever the step: what is kept of each, and which attempts go on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dori.attacks.progress import Progress
from dori.core.progress import within
from dori.diffusion import Diffusion, frozen

Noise = Callable[[int], tuple[Tensor, Tensor]]
Objective = Callable[[Diffusion, Tensor, Tensor, Tensor, Tensor], Tensor]
Constraint = Callable[[Tensor, Tensor], Tensor]
# (steps done, embeddings, the last step's losses (n,)) -> which to leave alone from here on, or None
Callback = Callable[[int, Tensor, Tensor], Tensor | None]
# (step, points, which of them to move (n,)) -> points, losses (n,), which of them are good (n,)
Advance = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Solution:
    """``embeddings`` (n, tokens, width), or whatever was moved, ``losses`` (n, steps); ``failed``
    (n,): the first step with a loss that is not finite, or -1. A failed target keeps its last good
    embedding, and the losses that were not computed any more are NaN. ``batch``: the samples that
    fitted in one call of the denoiser."""

    embeddings: Tensor
    losses: Tensor
    failed: Tensor
    batch: int


class Search(Protocol):
    """What may climb in place of ``dori.attacks.solver.solve``: every option of ``attack.search``.

    ``gradients`` and ``forwards``: evaluations of a drawn pair at each step, forward and backward, and
    forward alone. ``streams``: random numbers of each attempt, of which there may be several times
    as many points, for sizes of the ball side by side. ``progress`` holds them; what else changes from
    step to step, ``__call__`` adds.
    """

    @property
    def gradients(self) -> int:
        """Samples forward and backward for each pair and step."""
        ...

    @property
    def forwards(self) -> int:
        """Samples forward alone, for each pair and step."""
        ...

    def __call__(
        self, diffusion: Diffusion, latents: Tensor, start: Tensor, noise: Noise, *, steps: int,
        objective: Objective, constraint: Constraint, batch: int, callback: Callback | None,
        streams: list[torch.Generator], progress: Progress,
    ) -> Solution: ...  # fmt: skip


def climb(
    diffusion: Diffusion, y: Tensor, steps: int, advance: Advance, callback: Callback | None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Moves ``y`` in place, step by step; what fails or is taken out stays where it was.

    A climb of which ``progress`` has something goes on from there.

    Returns:
        points (n, ...), losses (n, steps), failed (n,), as in ``Solution``.
    """
    failed, active = torch.full((len(y),), -1), torch.ones(len(y), dtype=torch.bool)
    losses, done = torch.full((len(y), steps), torch.nan), torch.tensor(0)
    progress = progress or Progress()
    progress.hold_tensors(done=done, y=y, losses=losses, failed=failed, active=active)
    progress.resume()

    def leave(steps: int, loss: Tensor) -> None:
        out = callback(steps, y.detach(), loss) if callback else None
        if out is not None:
            active.logical_and_(~out)

    if not done:
        leave(0, torch.full((len(y),), torch.nan))
    with frozen(diffusion.denoiser):
        for step in range(int(done), steps):
            if not active.any():
                break
            before = y.detach().clone()
            moved, loss, good = advance(step, y, active)
            losses[:, step] = loss
            failed[active & ~good] = step
            active.logical_and_(good)
            with torch.no_grad():
                before[active] = moved[active]
                y.copy_(before)
            leave(step + 1, loss)
            done.fill_(step + 1)
            progress.save()
            within((step + 1) / steps)
    return y.detach().cpu(), losses, failed
