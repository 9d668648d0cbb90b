"""An attack: a start, a constraint and a climb, put together for a list of targets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from dori.attacks.budgets import Budget, budgets, sliced
from dori.attacks.checks import check_settings, has_ball
from dori.attacks.climb import Noise, Objective, Search, Solution
from dori.attacks.constraints import movable
from dori.attacks.progress import Progress
from dori.attacks.solver import solve
from dori.attacks.spaces.embeddings import Embeddings, Space
from dori.attacks.starts import Attempt, Source
from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.core.randomness import generator
from dori.data import Data, Target
from dori.diffusion import StableDiffusion
from dori.diffusion.images import around

# images (n, images, 3, H, W) of n targets -> whether any of each is a copy, boolean (n,)
Replicated = Callable[[Tensor, list[Target]], Tensor]


@neutral("batch")
@dataclass(frozen=True)
class Attack:
    """DoRI, its family, and what a defense is held out from.

    Args:
        name: how rows and reports call it.
        steps: gradient steps, 50 in the paper.
        pairs: (noise, timestep) pairs per image and step, 8 in the paper.
        start, constraint, objective: see the modules of these names.
        optimizer: of ``torch.optim``, given the embeddings; Adam at 0.1 in the paper.
        space: what is moved: the text embeddings, words, or the initial noise.
        search: in place of the optimizer's descent, e.g. ``RandomSearch``.
        batch: most samples in one differentiated U-Net call; auto: as many as the memory holds.
        restarts: attempts per target, each with a start and noise of its own; 100 in the paper's
            locality study.
        tokens: which positions may move: ``all``, or of the target's prompt ``content`` or ``padding``.
        window: training timesteps [low, high) to draw from; default all.
        epsilons: sizes of the ball to solve side by side, on the same noise.
        snapshots: step counts to keep, out of one solve; default ``steps`` alone.
        watch: look at a quick sample before the first and after every ``check_every`` steps, for the work
            to an attempt's first copy; ours.
        stop: after all ``steps``, or at ``replication`` in such a sample; ours.
        check_images: of that sample, on noise of its own.
    """

    name: str
    steps: int
    pairs: int
    start: Callable[[Data, list[Attempt], int], list[Source]]
    constraint: Callable[..., Tensor]
    objective: Objective
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]
    batch: int | str
    space: Space = field(default_factory=Embeddings)
    search: Search | None = None
    seed: int = 0
    restarts: int = 1
    tokens: str = "all"
    window: tuple[int, int] | None = None
    epsilons: list[float] | None = None
    snapshots: list[int] | None = None
    watch: bool = False
    stop: str = "steps"
    check_every: int = 5
    check_images: int = 1

    def __post_init__(self) -> None:
        check_settings(self)

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
        self.space.check(sources, self.tokens, has_ball(self.constraint))
        if self.search and self.space.search:
            raise InputError(f"attack.search is {self.search}, but {self.space} has a search of its own")
        ids = diffusion.tokenize([target.prompt for target in data.targets])
        movable(ids, diffusion.tokenizer.eos_token_id, self.tokens)
        last = diffusion.train_timesteps
        window = [0, last] if self.window is None else list(self.window)
        if len(window) != 2 or window != sorted({*window}) or not all(t in range(last + 1) for t in window):
            raise InputError(f"attack.window must be [low, high) within 0 to {last}, but is {window}")

    @property
    def _search(self) -> Search | None:
        return self.search or self.space.search

    @property
    def watches(self) -> bool:
        """Whether quick samples are looked at."""
        return self.watch or self.stop == "replication"

    @property
    def per_step(self) -> tuple[int, int]:
        """Samples through the U-Net of an attempt's step: forward and backward, and forward alone."""
        each = (self._search.gradients, self._search.forwards) if self._search else (1, 0)
        return each[0] * self.pairs * self.space.samples, each[1] * self.pairs * self.space.samples

    def attempts_per_call(self, batch: int) -> int:
        """How many attempts' pairs fit ``batch`` samples."""
        return max(1, batch // (self.pairs * self.space.samples))

    def evaluations(self, targets: int, steps: int | None = None) -> int:
        """Gradient evaluations: samples through the U-Net forward and backward."""
        return targets * self.restarts * (self.steps if steps is None else steps) * self.per_step[0]

    def forwards(self, targets: int, steps: int | None = None) -> int:
        """Samples through the U-Net forward alone."""
        return targets * self.restarts * (self.steps if steps is None else steps) * self.per_step[1]

    def spent(self, reached: Tensor, steps: int) -> tuple[int, int, int]:
        """Gradient evaluations, samples forward alone, and images looked at, where attempts had a copy
        at ``reached`` or, -1, none."""
        until = reached.where(reached >= 0, steps)
        looks = until // self.check_every + 1
        done = until if self.stop == "replication" else torch.full_like(until, steps)
        gradient, forward = self.per_step
        return int(done.sum()) * gradient, int(done.sum()) * forward, int(looks.sum()) * self.check_images

    def noise(
        self, diffusion: StableDiffusion, attempts: list[Attempt], progress: Progress | None = None
    ) -> Noise:
        """Fresh (noise, timesteps) at every step, each attempt's from a generator of its own."""
        # the first attempt has the numbers of an attack without restarts
        streams = [generator(self.seed, "attack", t.name, *([r] if r else [])) for t, r in attempts]
        if progress:
            progress.hold_streams("noise", streams)
        shape = (self.pairs, *diffusion.latent_shape)
        low, high = self.window or (0, diffusion.train_timesteps)

        def draw(step: int) -> tuple[Tensor, Tensor]:
            t = [torch.randint(low, high, (self.pairs,), generator=stream) for stream in streams]
            return torch.stack([torch.randn(shape, generator=s) for s in streams]), torch.stack(t)

        return draw

    def sample(
        self, diffusion: StableDiffusion, attempts: list[Attempt], triggers: dict[str, Tensor]
    ) -> Tensor:
        """uint8 (n, check_images, 3, H, W), on noise that nothing else is measured on."""
        shape, count = diffusion.latent_shape, self.check_images
        streams = [generator(self.seed, "stop", t.name, j) for t, _ in attempts for j in range(count)]
        fresh = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
        given = {key: value.repeat_interleave(count, 0) for key, value in triggers.items()}
        return diffusion.sample(given["embeddings"], around(given, fresh)).unflatten(0, (-1, count))

    def solve(
        self, diffusion: StableDiffusion, data: Data, attempts: list[Attempt], wanted: list[Budget],
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
        sources = self.start(data, attempts, self.seed)
        problem = self.space.problem(diffusion, targets, sources, self.objective, self.tokens)
        start, latents = (torch.cat([whole] * len(sizes)) for whole in (problem.start, problem.latents))
        given = [size for size in sizes if size is not None]
        ball = {"epsilon": start.new_tensor(given).repeat_interleave(n)[:, None, None]} if given else {}
        progress = progress or Progress()
        draw, snapshots = self.noise(diffusion, attempts, progress), {budget.steps for budget in wanted}
        kept = {0: start if warm is None else torch.cat([warm.to(start)] * len(sizes))}

        def noise(step: int) -> tuple[Tensor, Tensor]:
            eps, t = draw(step)
            return eps.repeat(len(sizes), 1, 1, 1, 1), t.repeat(len(sizes), 1)

        def constrain(y: Tensor, _start: Tensor) -> Tensor:
            return self.constraint(problem.confine(y, start), start, **ball)

        reached = torch.full((n * len(sizes),), -1)
        progress.hold("kept", lambda: kept, kept.update)
        progress.hold_tensors(reached=reached)

        def look(steps: int, y: Tensor, loss: Tensor) -> Tensor | None:
            if steps in snapshots:
                kept[steps] = y.cpu().clone()
            if replicated is None or steps % self.check_every:
                return None
            waiting = (reached < 0).nonzero()[:, 0]
            if not len(waiting):
                return None
            who = [attempts[row % n] for row in waiting.tolist()]
            images = self.sample(diffusion, who, problem.trigger(y[waiting], waiting % n))
            found = replicated(images, [target for target, _ in who])
            reached[waiting[found.cpu()]] = steps
            return reached >= 0 if self.stop == "replication" else None

        solution = self._climb(attempts, progress)(
            diffusion, latents, kept[0], noise, steps=max(snapshots), objective=problem.objective,
            constraint=constrain, batch=max(1, batch // self.space.samples), callback=look,
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
        return found, solution.batch * self.space.samples

    def _climb(self, attempts: list[Attempt], progress: Progress) -> Callable[..., Solution]:
        if self._search is None:
            return partial(solve, optimizer=self.optimizer)
        streams = [generator(self.seed, "search", target.name, restart) for target, restart in attempts]
        progress.hold_streams("search", streams)
        return partial(self._search, streams=streams)
