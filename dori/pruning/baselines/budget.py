"""Budgets: how many weights, or neurons, a baseline takes from each layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dori.core.costs import FREE, Cost
from dori.core.errors import InputError, check_share, unknown
from dori.data import Data, Target
from dori.diffusion import Diffusion
from dori.diffusion.layers import CHOICES
from dori.pruning.masks import Mask
from dori.pruning.selection import Keep, Method, cost_of

DEFAULT_LAYERS = "feed_forward"


class Share(NamedTuple):
    """So many of a layer's weights, ``shape`` (out, in), or of its neurons, (out,).

    ``first``: the column from which on weights are taken; those before belong to another layer.
    """

    shape: tuple[int, ...]
    number: int
    first: int = 0

    @property
    def allowed(self) -> Tensor:
        """Boolean of the shape: what may be taken."""
        found = torch.ones(self.shape, dtype=torch.bool)
        if found.dim() == 2:
            found[:, : self.first] = False
        return found


Quota = dict[str, Share]  # per layer


@dataclass(frozen=True)
class Budget:
    """Exactly one of three budgets: what every baseline is given.

    Args:
        ratio: share of each layer's weights, to the nearest whole number.
        count: weights in all, dealt to the layers in proportion to their size.
        like: as many as this method selects for the same targets, in its layers: of weights where its
            masks are of weights, of neurons where they are of neurons.
        layers: of ``ratio`` and ``count``: a choice of ``dori.pruning.layers``, or full names.
            ``None``: feed_forward.

    Raises:
        InputError: no budget or several, an impossible one, or layers beside ``like``.
    """

    ratio: float | None = None
    count: int | None = None
    like: Method | None = None
    layers: str | list[str] | None = None

    def __post_init__(self) -> None:
        given = [key for key in ("ratio", "count", "like") if getattr(self, key) is not None]
        if not given:
            raise InputError("pruning needs a budget: set pruning.ratio, pruning.count or pruning.like")
        if len(given) > 1:
            names = " and ".join(f"pruning.{key}" for key in given)
            raise InputError(f"{names} are budgets, and only one can hold: set pruning.{given[-1]}=null")
        if self.ratio is not None:
            check_share("pruning.ratio", self.ratio)
        if self.count is not None and not (isinstance(self.count, int) and self.count > 0):
            raise InputError(f"pruning.count must be a whole number above zero, but is {self.count}")
        if self.like is not None and not hasattr(self.like, "select"):
            raise InputError(
                f"pruning.like is {self.like!r}, no pruning method: choose one with"
                " pruning@pruning.like=<option>, or none with pruning.like=null"
            )
        if self.like is not None and self.layers is not None:
            raise InputError(
                f"pruning.layers is {self.layers!r}, but pruning.like prunes in its own layers: set"
                " pruning.like=null and pruning.ratio or pruning.count"
            )
        if isinstance(self.layers, str) and self.layers not in CHOICES:
            raise unknown("pruning.layers", self.layers, tuple(CHOICES))

    @property
    def per_prompt(self) -> bool:
        return self.like is not None and self.like.per_prompt

    def cost(self, diffusion: Diffusion, targets: int, data: Data) -> Cost:
        """What selecting as much as another method takes; a share takes nothing."""
        return cost_of(self.like, diffusion, targets, data) if self.like is not None else FREE

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError: layers or weights that are not there, or what ``like`` lacks."""
        if self.like is not None:
            self.like.check(diffusion, data)
        else:
            self._own_quota(diffusion)

    def quotas(
        self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep
    ) -> tuple[list[Quota], int]:
        """One quota for all targets, or one for each (``per_prompt``); and the samples that it cost."""
        if self.like is not None:
            found = self.like.select(diffusion, targets, data, keep)
            return [quota_of(mask, diffusion.first_column) for mask in found.masks], found.evaluations
        return [self._own_quota(diffusion)], 0

    def _own_quota(self, diffusion: Diffusion) -> Quota:
        layers = diffusion.layers(self.layers or DEFAULT_LAYERS, loaded=False)
        shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        if isinstance(self.layers, str | None):
            first = {name: diffusion.first_column(name) for name in shapes}
        else:  # named in full: the whole layer
            first = dict.fromkeys(shapes, 0)
        sizes = {name: out * (columns - first[name]) for name, (out, columns) in shapes.items()}
        if self.ratio is not None:
            numbers = {name: round(self.ratio * size) for name, size in sizes.items()}
        else:
            assert self.count is not None
            numbers = dealt(self.count, sizes)
        if not any(numbers.values()):
            raise InputError(
                f"pruning.ratio {self.ratio} selects no weight: the largest layer has {max(sizes.values())},"
                f" so use at least {1 / max(sizes.values()):.2g}"
            )
        return {name: Share(shape, numbers[name], first[name]) for name, shape in shapes.items()}


def quota_of(mask: Mask, first: Callable[[str], int]) -> Quota:
    """As many of each layer as a mask selects, of the same kind, from the column ``first(name)`` on."""
    return {name: Share(tuple(part.shape), int(part.sum()), first(name)) for name, part in mask.items()}


def dealt(count: int, sizes: dict[str, int]) -> dict[str, int]:
    """``count`` in proportion to the sizes by largest remainder; among equal ones the earlier layer's.

    >>> dealt(5, {"a": 10, "b": 20, "c": 10})
    {'a': 1, 'b': 3, 'c': 1}
    """
    total = sum(sizes.values())
    if count > total:
        raise InputError(f"pruning.count {count} is more than the {total} weights of the chosen layers")
    out = {name: count * size // total for name, size in sizes.items()}
    largest = sorted(sizes, key=lambda name: count * sizes[name] % total, reverse=True)
    for name in largest[: count - sum(out.values())]:
        out[name] += 1
    return out


def highest(scores: dict[str, Tensor], quota: Quota) -> Mask:
    """The highest scores (out, in) of each layer; a neuron's score is the sum of its weights'.

    Ties go to the lower index, row by row: a stable sort, the same on every device.
    """
    mask: Mask = {}
    for name, share in quota.items():
        score = scores[name] if len(share.shape) == 2 else scores[name].sum(1)
        score = score.masked_fill(~share.allowed, -torch.inf)
        chosen = torch.zeros(score.numel(), dtype=torch.bool)
        chosen[score.flatten().argsort(descending=True, stable=True)[: share.number]] = True
        mask[name] = chosen.view(share.shape)
    return mask
