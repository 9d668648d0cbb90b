"""An attack: a start, a constraint and a climb, put together for a list of targets."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dori.attacks.budgets import Budget, budgets, sliced
from dori.attacks.constraints import TOKENS, movable
from dori.attacks.solver import Noise, Objective, solve
from dori.attacks.starts import Attempt, Source, embed
from dori.data import Data, Target
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion
from dori.errors import InputError, check_positive
from dori.randomness import generator


@dataclass(frozen=True)
class Attack:
    """DoRI and its family.

    Args:
        name: how rows and reports call it.
        steps: gradient steps, 50 in the paper.
        pairs: (noise, timestep) pairs per image and step, 8 in the paper.
        start, constraint, objective: see the modules of these names.
        optimizer: of ``torch.optim``, given the embeddings; Adam at 0.1 in the paper.
        batch: most samples in one differentiated U-Net call; auto: as many as the memory holds.
        restarts: attempts per target, each with a start and noise of its own; 100 in the paper's
            locality study.
        tokens: which positions may move: ``all``, or of the target's prompt ``content`` or ``padding``.
        window: training timesteps [low, high) to draw from; default all.
        epsilons: sizes of the ball to solve side by side, on the same noise.
        snapshots: step counts to keep, out of one solve; default ``steps`` alone.
    """

    name: str
    steps: int
    pairs: int
    start: Callable[[Data, list[Attempt], int], list[Source]]
    constraint: Callable[..., Tensor]
    objective: Objective
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]
    batch: int | str
    seed: int = 0
    restarts: int = 1
    tokens: str = "all"
    window: tuple[int, int] | None = None
    epsilons: list[float] | None = None
    snapshots: list[int] | None = None

    def __post_init__(self) -> None:
        for key in ("pairs", "restarts", *(() if self.batch == "auto" else ("batch",))):
            value = getattr(self, key)
            if not isinstance(value, int):
                raise InputError(f"attack.{key} must be a whole number, but is {value!r}")
            check_positive(f"attack.{key}", value)
        if self.tokens not in TOKENS:
            raise InputError(f"attack.tokens must be one of {', '.join(TOKENS)}, but is {self.tokens!r}")
        if self.epsilons and "epsilon" not in inspect.signature(self.constraint).parameters:
            raise InputError("attack.epsilons needs a ball: choose attack/constraint=l2 or linf")
        for budget in self.budgets:  # refuses a wrong epsilon here, not after the pruning
            ball = {} if budget.epsilon is None else {"epsilon": budget.epsilon}
            self.constraint(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), **ball)
        _try(self.optimizer)

    @property
    def budgets(self) -> list[Budget]:
        return budgets(self.steps, self.snapshots, self.epsilons)

    def attempts(self, targets: list[Target]) -> list[Attempt]:
        """Every target x restart: the rows of ``triggers.safetensors``."""
        return [(target, restart) for target in targets for restart in range(self.restarts)]

    def check(self, diffusion: StableDiffusion, data: Data) -> None:
        """Reads no weights.

        Raises:
            InputError: what this model or this data does not have.
        """
        sources = self.start(data, self.attempts(data.targets), self.seed)
        diffusion.check_prompts(sorted({source for source in sources if isinstance(source, str)}))
        self.movable(diffusion, data.targets)
        last = diffusion.train_timesteps
        window = [0, last] if self.window is None else list(self.window)
        if len(window) != 2 or window != sorted({*window}) or not all(t in range(last + 1) for t in window):
            raise InputError(f"attack.window must be [low, high) within 0 to {last}, but is {window}")

    def evaluations(self, targets: int, steps: int | None = None) -> int:
        """Gradient evaluations: samples through the U-Net forward and backward."""
        return targets * self.restarts * (self.steps if steps is None else steps) * self.pairs

    def movable(self, diffusion: StableDiffusion, targets: list[Target]) -> Tensor:
        """Boolean (n, tokens)."""
        ids = diffusion.tokenize([target.prompt for target in targets])
        return movable(ids, diffusion.tokenizer.eos_token_id, self.tokens)

    def noise(self, diffusion: StableDiffusion, attempts: list[Attempt]) -> Noise:
        """Fresh (noise, timesteps) at every step, each attempt's from a generator of its own."""
        # the first attempt has the numbers of an attack without restarts
        streams = [generator(self.seed, "attack", t.name, *([r] if r else [])) for t, r in attempts]
        shape = (self.pairs, *diffusion.latent_shape)
        low, high = self.window or (0, diffusion.train_timesteps)

        def draw(step: int) -> tuple[Tensor, Tensor]:
            t = [torch.randint(low, high, (self.pairs,), generator=stream) for stream in streams]
            return torch.stack([torch.randn(shape, generator=s) for s in streams]), torch.stack(t)

        return draw

    def solve(
        self,
        diffusion: StableDiffusion,
        data: Data,
        attempts: list[Attempt],
        wanted: list[Budget],
        batch: int,
    ) -> tuple[dict[Budget, dict[str, Tensor]], int]:
        """All budgets from one solve, on the same noise; and how many samples fitted in a call."""
        targets = [target for target, _ in attempts]
        sizes, n = list(dict.fromkeys(budget.epsilon for budget in wanted)), len(attempts)
        start = embed(diffusion, self.start(data, attempts, self.seed))
        latents = diffusion.encode_images(tensor([t.pixels() for t in targets], diffusion.resolution))
        allowed = self.movable(diffusion, targets).repeat(len(sizes), 1)[:, :, None].to(start.device)
        given = [size for size in sizes if size is not None]
        ball = {"epsilon": start.new_tensor(given).repeat_interleave(n)[:, None, None]} if given else {}
        draw, snapshots = self.noise(diffusion, attempts), {budget.steps for budget in wanted}
        kept = {0: start.repeat(len(sizes), 1, 1)}

        def noise(step: int) -> tuple[Tensor, Tensor]:
            eps, t = draw(step)
            return eps.repeat(len(sizes), 1, 1, 1, 1), t.repeat(len(sizes), 1)

        def constrain(y: Tensor, start: Tensor) -> Tensor:
            return self.constraint(torch.where(allowed, y, start), start, **ball)

        def keep(steps: int, y: Tensor, loss: Tensor) -> None:
            if steps in snapshots:
                kept[steps] = y.cpu().clone()

        solution = solve(
            diffusion, latents.repeat(len(sizes), 1, 1, 1), kept[0], noise, steps=max(snapshots),
            objective=self.objective, constraint=constrain, optimizer=self.optimizer, batch=batch,
            callback=keep,
        )  # fmt: skip
        found = {}
        for budget in wanted:
            first = sizes.index(budget.epsilon) * n
            # where all had failed, the solve ended early
            embeddings = kept.get(budget.steps, solution.embeddings)
            found[budget] = sliced(solution, start, embeddings, slice(first, first + n), budget)
        return found, solution.batch


def _try(optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]) -> None:
    """One step on nothing: wrong arguments, and optimizers that want more than a gradient, show now."""
    y = torch.zeros(1, 1, 1, requires_grad=True)
    y.grad = torch.zeros_like(y)
    try:
        optimizer([y]).step()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"attack.optimizer cannot be used: {error}") from error
