"""One way in which pictures may come out of a model: who was tried, what came, and what of it is a copy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dori.data import Target
from dori.steps.subjects import Subject
from dori.studies.audit.drawn import NOWHERE, Ask, Best, Drawn, draw
from dori.studies.audit.evidence import Threshold, copies, p_values, threshold
from dori.studies.audit.options import Options

if TYPE_CHECKING:
    from dori.steps.run import Run


@dataclass(frozen=True, eq=False)
class Material:
    """Models, where there are any; the pictures, and their descriptors (n, d) and (m, d).

    ``judge``: the name of the network that described them.
    """

    run: "Run"
    options: Options
    model: Subject | None
    base: Subject | None
    training: list[Target]
    held_out: list[Target]
    pictures: Tensor
    controls: Tensor
    judge: str

    @cached_property
    def _places(self) -> dict[str, int]:
        return {target.name: i for i, target in enumerate([*self.training, *self.held_out])}

    @cached_property
    def _whole(self) -> Tensor:
        return torch.cat([self.pictures, self.controls]) if self.held_out else self.pictures

    def of(self, targets: Sequence[Target]) -> Tensor:
        """Descriptors of some of the pictures (k, d)."""
        return self._whole[[self._places[target.name] for target in targets]]


@dataclass(frozen=True, eq=False)
class Route:
    """What one way gave for the training pictures that were tried on it.

    Args:
        best: of each the most similar output, among ``drawn``.
        null: similarities of controls on the same way (m,).
        based: of those copied, how similar the base's outputs for the same prompt are, and the base's file
            for the same seed; none where there is no base.
    """

    name: str
    tried: list[Target]
    best: Best
    drawn: Drawn
    null: np.ndarray
    limit: Threshold
    copied: np.ndarray
    based: dict[str, tuple[float, str]]

    @property
    def p(self) -> np.ndarray:
        return p_values(self.best.similarity, self.null)

    def left(self) -> list[Target]:
        """Pictures that this way does not bring back."""
        return [target for target, hit in zip(self.tried, self.copied, strict=True) if not hit]

    def by_base(self, name: str) -> bool:
        """Whether the base gives it as well: above the threshold, and nearer to the model's similarity than
        to what controls reach in the median."""
        if name not in self.based:
            return False
        own = next(s for t, s in zip(self.tried, self.best.similarity, strict=True) if t.name == name)
        usual = float(np.median(self.null)) if len(self.null) else 0.0
        return self.based[name][0] > max(self.limit.value, (own + usual) / 2)


def judged(
    given: Material, name: str, tried: list[Target], best: Best, drawn: Drawn, null: np.ndarray,
    least: float = NOWHERE, based: dict[str, tuple[float, str]] | None = None,
) -> Route:  # fmt: skip
    """A route with its threshold, at least ``least``; of copies the base is asked, unless it was."""
    options, published = given.options, given.run.evaluation.made.threshold
    source = "held_out" if given.held_out else "base"
    limit = threshold(null, options.rate, source, published)
    limit = replace(limit, value=max(limit.value, least))
    copied = copies(best.similarity, null, limit, options.fdr)
    if based is None:
        based = same_of_base(given, tried, best, drawn, copied) if given.base else {}
    return Route(name, tried, best, drawn, null, limit, copied, based)


def same_of_base(
    given: Material, tried: list[Target], best: Best, drawn: Drawn, copied: np.ndarray
) -> dict[str, tuple[float, str]]:
    """What the base makes of the prompts that gave copies, on the same noise."""
    assert given.base is not None
    hits = [(target, drawn.table.iloc[best.place[i]]) for i, target in enumerate(tried) if copied[i]]
    asks = {(row["name"], row["prompt"]): Ask(row["name"], row["owner"], row["prompt"]) for _, row in hits}
    if not asks:
        return {}
    seeds = int(drawn.table["seed"].max()) + 1
    found = draw(given.run, given.base, list(asks.values()), seeds)
    where = {key: i * seeds for i, key in enumerate(asks)}
    based = {}
    for target, row in hits:
        first = where[row["name"], row["prompt"]]
        similar = found.descriptors[first : first + seeds] @ given.of([target])[0]
        based[target.name] = float(similar.max()), found.table["file"].iloc[first + row["seed"]]
    return based
