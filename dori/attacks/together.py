"""All budgets of an attack from one solve, on the same noise."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dori.attacks.attack import Attack
from dori.attacks.budgets import Budget, sliced
from dori.attacks.climb import Solution
from dori.attacks.progress import Progress
from dori.attacks.solver import solve
from dori.attacks.starts import Attempt
from dori.core.randomness import generator
from dori.data import Data, Target
from dori.diffusion import Diffusion

# images (n, images, 3, H, W) of n targets -> whether any of each is a copy, boolean (n,)
Replicated = Callable[[Tensor, list[Target]], Tensor]


def solve_budgets(
    attack: Attack, diffusion: Diffusion, data: Data, attempts: list[Attempt], wanted: list[Budget],
    batch: int, replicated: Replicated | None = None, warm: Tensor | None = None,
    progress: Progress | None = None,
) -> tuple[dict[Budget, dict[str, Tensor]], int]:  # fmt: skip
    """All budgets from one solve, on the same noise; and how many samples fitted in a call.

    ``warm`` embeddings (attempts, tokens, width) are where to climb from; the ball stays around
    the start. ``progress``: from which a killed solve goes on.

    Returns:
        what ``sliced`` says of each budget.
    """
    targets = [target for target, _ in attempts]
    sizes, n = list(dict.fromkeys(budget.epsilon for budget in wanted)), len(attempts)
    sources = attack.start(data, attempts, attack.seed)
    problem = attack.space.problem(diffusion, targets, sources, attack.objective, attack.movable)
    start, latents = (torch.cat([whole] * len(sizes)) for whole in (problem.start, problem.latents))
    given = [size for size in sizes if size is not None]
    ball = {"epsilon": start.new_tensor(given).repeat_interleave(n)[:, None, None]} if given else {}
    progress = progress or Progress()
    draw, snapshots = attack.noise(diffusion, attempts, progress), {budget.steps for budget in wanted}
    kept = {0: start if warm is None else torch.cat([warm.to(start)] * len(sizes))}

    def noise(step: int) -> tuple[Tensor, Tensor]:
        eps, t = draw(step)
        return eps.repeat(len(sizes), 1, 1, 1, 1), t.repeat(len(sizes), 1)

    def constrain(y: Tensor, _start: Tensor) -> Tensor:
        return attack.constraint(problem.confine(y, start), start, **ball)

    reached = torch.full((n * len(sizes),), -1)
    progress.hold("kept", lambda: kept, kept.update)
    progress.hold_tensors(reached=reached)

    def look(steps: int, y: Tensor, loss: Tensor) -> Tensor | None:
        if steps in snapshots:
            kept[steps] = y.cpu().clone()
        if replicated is None or steps % attack.check_every:
            return None
        waiting = (reached < 0).nonzero()[:, 0]
        if not len(waiting):
            return None
        who = [attempts[row % n] for row in waiting.tolist()]
        images = attack.sample(diffusion, who, problem.trigger(y[waiting], waiting % n))
        found = replicated(images, [target for target, _ in who])
        reached[waiting[found.cpu()]] = steps
        return reached >= 0 if attack.stop == "replication" else None

    samples = attack.space.samples(diffusion)
    solution = _climb(attack, attempts, progress)(
        diffusion, latents, kept[0], noise, steps=max(snapshots), objective=problem.objective,
        constraint=constrain, batch=max(1, batch // samples), callback=look,
        progress=progress,
    )  # fmt: skip
    found, places = {}, torch.arange(n)
    origin = problem.trigger(problem.start, places)["embeddings"]
    for budget in wanted:
        first = sizes.index(budget.epsilon) * n
        # where none is left, the solve ended early
        moved = kept.get(budget.steps, solution.embeddings)[first : first + n]
        found[budget] = sliced(
            solution, {**problem.trigger(moved, places), "start": origin}, slice(first, first + n),
            budget, None if replicated is None else reached,
        )  # fmt: skip
    return found, solution.batch * samples


def _climb(attack: Attack, attempts: list[Attempt], progress: Progress) -> Callable[..., Solution]:
    if attack.climbed_by is None:
        return partial(solve, optimizer=attack.optimizer)
    streams = [generator(attack.seed, "search", target.name, restart) for target, restart in attempts]
    progress.hold_streams("search", streams)
    return partial(attack.climbed_by, streams=streams)
