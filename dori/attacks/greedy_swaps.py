"""Greedy coordinate gradient (Zou et al., arXiv 2307.15043): one word of a prompt at a time."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dori.attacks.climb import Callback, Constraint, Noise, Objective, Solution, climb
from dori.attacks.progress import Progress
from dori.attacks.solver import evaluate
from dori.attacks.words import vocabulary
from dori.diffusion import Diffusion


@dataclass(frozen=True)
class GreedySwaps:
    """At each step, of ``candidates`` random swaps of one token for one of the ``top`` that the
    gradient likes best at its place, keeps the one with the lowest loss, if lower than without."""

    candidates: int
    top: int
    gradients: int = field(default=1, init=False)

    @property
    def forwards(self) -> int:
        return self.candidates

    def __call__(
        self, diffusion: Diffusion, latents: Tensor, start: Tensor, noise: Noise, *, steps: int,
        objective: Objective, constraint: Constraint, batch: int, callback: Callback | None,
        streams: list[torch.Generator], progress: Progress | None = None,
    ) -> Solution:  # fmt: skip
        """``start``: token embeddings (n, tokens, width); those that ``constraint`` keeps are not swapped."""
        words = diffusion.words("attack.search=GreedySwaps")
        known = words.table().to(start)[vocabulary(words.tokenizer)]
        free = (constraint(start + 1, start) != start).any(-1).cpu()
        many = self.candidates

        def swapped(e: Tensor, gradient: Tensor) -> Tensor:
            """(n, candidates, tokens, width)"""
            tried = e[:, None].repeat(1, many, 1, 1)
            # to first order the loss changes by gradient . (word - token); the token is its place's own
            best = (-gradient @ known.T).topk(min(self.top, len(known)), dim=-1).indices.cpu()
            for row, stream in enumerate(streams):
                open_ = free[row].nonzero()[:, 0]
                places = open_[torch.randint(len(open_), (many,), generator=stream)]
                picks = torch.randint(best.shape[-1], (many,), generator=stream)
                tried[row, torch.arange(many), places] = known[best[row, places, picks]]
            return tried

        def step_of(step: int, e: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            nonlocal batch
            eps, t = noise(step)
            point = e.clone().requires_grad_(True)
            with torch.enable_grad():
                loss, batch = evaluate(diffusion, latents, point, (eps, t), active, objective, batch)
            assert point.grad is not None
            good = torch.isfinite(loss) & torch.isfinite(point.grad).flatten(1).all(1).cpu()
            tried = swapped(e, point.grad)
            each = [value.repeat_interleave(many, 0) for value in (latents, eps, t, active & good)]
            losses, batch = evaluate(
                diffusion, each[0], tried.flatten(0, 1), (each[1], each[2]), each[3], objective, batch
            )
            lowest, which = losses.view(-1, many).nan_to_num(torch.inf).min(1)
            moved, lower = e.clone(), lowest < loss
            moved[lower] = tried[torch.arange(len(e)), which.to(e.device)][lower]
            return moved, loss, good

        with torch.no_grad():
            found = climb(diffusion, start.clone(), steps, step_of, callback, progress)
        return Solution(*found, batch)
