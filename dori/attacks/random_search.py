"""Random search: what is there to be had without any gradient, for as many samples through the denoiser."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dori.attacks.climb import Callback, Constraint, Noise, Objective, Solution, climb
from dori.attacks.progress import Progress
from dori.attacks.solver import evaluate
from dori.core.errors import check_positive
from dori.diffusion import Diffusion


@dataclass(frozen=True)
class RandomSearch:
    """Steps from the best point so far to a random one near it, and stays where the loss is lower.

    The (1+1) evolution strategy with a fixed step size (Rastrigin's random search; in an adversary's
    ball e.g. Square Attack, arXiv 1912.00049). All points of an attempt are judged on the same
    (noise, timestep) pairs, its own, so that the best is known without being judged again; the first
    point is the start. The form is our choice.

    Args:
        reach: standard deviation of a step's coordinates, relative to the root mean square of the start's.
    """

    reach: float = 0.1
    gradients: int = field(default=0, init=False)
    forwards: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_positive("attack.search.reach", self.reach)

    def __call__(
        self, diffusion: Diffusion, latents: Tensor, start: Tensor, noise: Noise, *, steps: int,
        objective: Objective, constraint: Constraint, batch: int, callback: Callback | None,
        streams: list[torch.Generator], progress: Progress | None = None,
    ) -> Solution:  # fmt: skip
        drawn = noise(0) if steps else None
        lowest = torch.full((len(start),), torch.inf)
        size = self.reach * start.square().flatten(1).mean(1).sqrt().view(-1, *[1] * (start.dim() - 1))

        def near(best: Tensor) -> Tensor:
            steps = torch.stack([torch.randn(start.shape[1:], generator=stream) for stream in streams])
            # the same directions for every size of the ball
            steps = steps.repeat(len(best) // len(steps), *[1] * (best.dim() - 1)).to(best)
            return constraint(best + size * steps, start)

        def step_of(step: int, best: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            nonlocal batch
            assert drawn is not None
            point = near(best) if step else best.clone()
            loss, batch = evaluate(diffusion, latents, point, drawn, active, objective, batch)
            lower = active & (loss < lowest)
            lowest[lower] = loss[lower]
            moved = best.clone()
            moved[lower] = point[lower]
            return moved, loss, torch.isfinite(loss)

        progress = progress or Progress()
        progress.hold_tensors(lowest=lowest)
        with torch.no_grad():
            found = climb(diffusion, start.clone(), steps, step_of, callback, progress)
        return Solution(*found, batch)
