"""Random pruning: the control for every method, as many weights in the same layers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch

from dori.core.randomness import generator
from dori.data import Data, Target
from dori.diffusion import Diffusion
from dori.pruning.baselines.budget import Budget, Quota, quota_of
from dori.pruning.masks import Mask
from dori.pruning.selection import Keep, Selection


def trimmed(mask: Mask, target: Mask, seed: int) -> Mask:
    """A random part of ``mask`` with at most as many weights in each layer as ``target``."""
    out = {}
    for name, part in mask.items():
        chosen = part.flatten().nonzero().flatten()
        order = torch.randperm(len(chosen), generator=generator(seed, "trimmed", name))
        kept = torch.zeros(part.numel(), dtype=torch.bool)
        kept[chosen[order[: int(target[name].sum())]]] = True
        out[name] = kept.view(part.shape)
    return out


def like(mask: Mask, first: Callable[[str], int], seed: int, *purpose: str) -> Mask:
    """A mask with as many weights, or neurons, in each layer as ``mask``, drawn uniformly.

    ``first``: see ``quota_of``.
    """
    return drawn(quota_of(mask, first), seed, *purpose)


def drawn(quota: Quota, seed: int, *purpose: str) -> Mask:
    """So many of each layer, uniformly: a draw of its own for each (seed, layer, purpose)."""
    out: Mask = {}
    for name, share in quota.items():
        places = share.allowed.flatten().nonzero()[:, 0]
        order = torch.randperm(len(places), generator=generator(seed, "random", name, *purpose))
        chosen = torch.zeros(prod(share.shape), dtype=torch.bool)
        chosen[places[order[: share.number]]] = True
        out[name] = chosen.view(share.shape)
    return out


@dataclass(frozen=True)
class Random(Budget):
    """Zero weights drawn uniformly within each layer.

    Args:
        ratio, count, like, layers: the budget, see ``Budget``.
        seed: of the draw; with a ``like`` that is per prompt each target has its own.
    """

    name: str = "random"
    seed: int = 0

    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """A random mask, or one for each target; the model and the data matter only for ``like``."""
        quotas, evaluations = self.quotas(diffusion, targets, data, keep)
        if not self.per_prompt:
            return Selection([drawn(quotas[0], self.seed)], evaluations)
        pairs = zip(quotas, targets, strict=True)
        # without its name, one target's weights would be among those of another that has more
        return Selection([drawn(quota, self.seed, target.name) for quota, target in pairs], evaluations)
