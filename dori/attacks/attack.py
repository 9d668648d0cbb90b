"""An attack: a start, a constraint and a climb, put together for a list of targets."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dori.attacks.budgets import Budget, budgets
from dori.attacks.checks import check_settings, has_ball
from dori.attacks.climb import Noise, Objective, Search
from dori.attacks.constraints import Movable
from dori.attacks.progress import Progress
from dori.attacks.spaces.embeddings import Embeddings, Space
from dori.attacks.starts import Attempt, Source
from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.core.randomness import generator
from dori.data import Data, Target
from dori.diffusion import Diffusion
from dori.diffusion.images import around


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
        batch: most samples in one differentiated call of the denoiser; auto: as many as the memory holds.
        restarts: attempts per target, each with a start and noise of its own; 100 in the paper's
            locality study.
        tokens: which positions of the sequence may move: ``all``, or of the target's prompt ``content`` or
            ``padding``.
        rows: what may move of the conditioning: its ``sequence``, its ``pooled`` vector, or ``all``.
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
    rows: str = "all"
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
        """Every budget that one solve gives."""
        return budgets(self.steps, self.snapshots, self.epsilons)

    def attempts(self, targets: list[Target]) -> list[Attempt]:
        """Every target x restart: the rows of ``triggers.safetensors``."""
        return [(target, restart) for target in targets for restart in range(self.restarts)]

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Reads no weights.

        Raises:
            InputError: what this model or this data does not have.
        """
        sources = self.start(data, self.attempts(data.targets), self.seed)
        diffusion.check_prompts(sorted({source for source in sources if isinstance(source, str)}))
        self.space.check(diffusion, sources, self.movable, has_ball(self.constraint))
        if self.search and self.space.search:
            raise InputError(f"attack.search is {self.search}, but {self.space} has a search of its own")
        self.movable.of(diffusion.rows, diffusion.content([target.prompt for target in data.targets]))
        last = diffusion.schedule.length
        window = [0, last] if self.window is None else list(self.window)
        if len(window) != 2 or window != sorted({*window}) or not all(t in range(last + 1) for t in window):
            raise InputError(f"attack.window must be [low, high) within 0 to {last}, but is {window}")

    @property
    def movable(self) -> Movable:
        """Which values of a conditioning move."""
        return Movable(self.tokens, self.rows)

    @property
    def climbed_by(self) -> Search | None:
        """The search that takes the place of the optimizer's descent, if one does."""
        return self.search or self.space.search

    @property
    def watches(self) -> bool:
        """Whether quick samples are looked at."""
        return self.watch or self.stop == "replication"

    def per_step(self, diffusion: Diffusion) -> tuple[int, int]:
        """Samples through the denoiser of an attempt's step: forward and backward, and forward alone."""
        each = (self.climbed_by.gradients, self.climbed_by.forwards) if self.climbed_by else (1, 0)
        samples = self.pairs * self.space.samples(diffusion)
        return each[0] * samples, each[1] * samples

    def attempts_per_call(self, diffusion: Diffusion, batch: int) -> int:
        """How many attempts' pairs fit ``batch`` samples."""
        return max(1, batch // (self.pairs * self.space.samples(diffusion)))

    def evaluations(self, diffusion: Diffusion, targets: int, steps: int | None = None) -> int:
        """Gradient evaluations: samples through the denoiser forward and backward."""
        steps = self.steps if steps is None else steps
        return targets * self.restarts * steps * self.per_step(diffusion)[0]

    def forwards(self, diffusion: Diffusion, targets: int, steps: int | None = None) -> int:
        """Samples through the denoiser forward alone."""
        steps = self.steps if steps is None else steps
        return targets * self.restarts * steps * self.per_step(diffusion)[1]

    def spent(self, diffusion: Diffusion, reached: Tensor, steps: int) -> tuple[int, int, int]:
        """Gradient evaluations, samples forward alone, and images looked at, where attempts had a copy
        at ``reached`` or, -1, none."""
        until = reached.where(reached >= 0, steps)
        looks = until // self.check_every + 1
        done = until if self.stop == "replication" else torch.full_like(until, steps)
        gradient, forward = self.per_step(diffusion)
        return int(done.sum()) * gradient, int(done.sum()) * forward, int(looks.sum()) * self.check_images

    def noise(self, diffusion: Diffusion, attempts: list[Attempt], progress: Progress | None = None) -> Noise:
        """Fresh (noise, timesteps) at every step, each attempt's from a generator of its own."""
        # the first attempt has the numbers of an attack without restarts
        streams = [generator(self.seed, "attack", t.name, *([r] if r else [])) for t, r in attempts]
        if progress:
            progress.hold_streams("noise", streams)
        shape = (self.pairs, *diffusion.latent_shape)

        def draw(step: int) -> tuple[Tensor, Tensor]:
            t = [diffusion.schedule.draw(self.pairs, stream, self.window) for stream in streams]
            return torch.stack([torch.randn(shape, generator=s) for s in streams]), torch.stack(t)

        return draw

    def sample(self, diffusion: Diffusion, attempts: list[Attempt], triggers: dict[str, Tensor]) -> Tensor:
        """uint8 (n, check_images, 3, H, W), on noise that nothing else is measured on."""
        shape, count = diffusion.latent_shape, self.check_images
        streams = [generator(self.seed, "stop", t.name, j) for t, _ in attempts for j in range(count)]
        fresh = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
        given = {key: value.repeat_interleave(count, 0) for key, value in triggers.items()}
        return diffusion.sample(given["embeddings"], around(given, fresh)).unflatten(0, (-1, count))
