"""What an attack moves, and what the model is given for it: text embeddings here.

Tokens and initial noise are spaces of their own, in ``hard_prompt`` and ``initial_noise``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from dori.attacks.climb import Objective, Search
from dori.attacks.constraints import Movable
from dori.attacks.starts import Source, embed
from dori.data import Target
from dori.data.targets import tensor
from dori.diffusion import Diffusion


@dataclass(frozen=True)
class Problem:
    """What a climb is given for n attempts.

    Args:
        start: (n, ...), the points to move.
        latents: (n, ...), what the objective has to know of each target.
        objective: the loss of points, see ``dori.attacks.objectives``.
        confine: (points, their starts) -> points, back to where an attack may be at all; of n rows,
            or of several times n.
        trigger: (points (m, ...), whose of the n they are (m,)) -> what the model is given, each (m, ...):
            ``embeddings``; ``noise`` and ``spread`` where the initial noise is an attack's too, see
            ``dori.diffusion.images``.
    """

    start: Tensor
    latents: Tensor
    objective: Objective
    confine: Callable[[Tensor, Tensor], Tensor]
    trigger: Callable[[Tensor, Tensor], dict[str, Tensor]]


class Space(Protocol):
    """What every option of ``attack.space`` is.

    ``search``: how it has to be climbed, if not by what the attack says. ``hooks``: whether the objective
    hooks layers of the model.
    """

    @property
    def hooks(self) -> bool:
        """Whether the objective hooks layers of the model."""
        ...

    def samples(self, diffusion: Diffusion) -> int:
        """Samples through the denoiser for one drawn pair."""
        ...

    @property
    def search(self) -> Search | None:
        """How it has to be climbed; None: as the attack says."""
        ...

    def check(self, diffusion: Diffusion, sources: list[Source], movable: Movable, ball: bool) -> None:
        """Raises InputError: what of the attack, or of the model, does not suit it. Reads no weights."""
        ...

    def problem(
        self, diffusion: Diffusion, targets: list[Target], sources: list[Source],
        objective: Objective, movable: Movable,
    ) -> Problem:  # fmt: skip
        """What a climb is given for these targets and their starts."""
        ...


@dataclass(frozen=True)
class Embeddings:
    """The text encoders' output, every coordinate of it (Finding DoRI, the attack)."""

    search: None = field(default=None, init=False)
    hooks: bool = field(default=False, init=False)

    def samples(self, diffusion: Diffusion) -> int:
        return 1

    def check(self, diffusion: Diffusion, sources: list[Source], movable: Movable, ball: bool) -> None:
        """Every start, choice of rows and ball will do."""

    def problem(
        self, diffusion: Diffusion, targets: list[Target], sources: list[Source],
        objective: Objective, movable: Movable,
    ) -> Problem:  # fmt: skip
        start = embed(diffusion, sources)
        content = diffusion.content([target.prompt for target in targets])
        allowed = movable.of(diffusion.rows, content).to(start.device)
        return Problem(
            start, latents_of(diffusion, targets), objective, confined(allowed),
            lambda y, who: {"embeddings": y},
        )  # fmt: skip


def latents_of(diffusion: Diffusion, targets: list[Target]) -> Tensor:
    """Latents (n, c, h, w) of the images to bring back."""
    return diffusion.encode_images(tensor([target.pixels() for target in targets], diffusion.size))


def confined(allowed: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Keeps what is not ``allowed`` (boolean (n, rows, width or 1)) to move at the start."""

    def confine(y: Tensor, start: Tensor) -> Tensor:
        return y.where(allowed.repeat(len(y) // len(allowed), 1, 1), start)

    return confine
