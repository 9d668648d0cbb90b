"""What a pruning method selects, and how methods keep what does not depend on the targets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from dori.core.costs import FREE, Cost
from dori.data import Data, Target
from dori.diffusion import Diffusion
from dori.pruning.masks import Mask

# (name, what it depends on, compute(folder) -> what it counted) -> the folder, from the cache or computed
Keep = Callable[[str, dict[str, Any], Callable[[Path], dict[str, Any]]], Path]


@dataclass(frozen=True)
class Selection:
    """One mask for all targets, or one for each, in their order.

    ``evaluations`` are samples through the denoiser; ``facts`` are JSON-able and go into the report.
    """

    masks: list[Mask]
    evaluations: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """A pruning method: what every option of the ``pruning`` group is.

    ``per_prompt``: it selects for each target on its own, and controls get what they would get.
    """

    @property
    def name(self) -> str:
        """How rows and reports call it."""
        ...

    @property
    def per_prompt(self) -> bool:
        """Whether it selects for each target on its own."""
        ...

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError: what this model or this data does not have. Reads no weights."""
        ...

    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """The masks for ``targets``; ``keep`` caches what does not depend on them."""
        ...


@runtime_checkable
class Priced(Protocol):
    """A method that knows beforehand what selecting takes, about; the others are taken for free."""

    def cost(self, diffusion: Diffusion, targets: int, data: Data) -> Cost:
        """What selecting costs, in samples through the denoiser."""
        ...


def cost_of(method: Method, diffusion: Diffusion, targets: int, data: Data) -> Cost:
    """What a method takes for so many targets, as far as it says so."""
    return method.cost(diffusion, targets, data) if isinstance(method, Priced) else FREE
