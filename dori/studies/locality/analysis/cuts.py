"""Pruning by k of an image's triggers, and by as many weights that others select."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dori.core.randomness import generator
from dori.pruning.baselines import random
from dori.pruning.masks import Mask, union
from dori.studies.locality.analysis.shares import Shares


def ordered(count: int, seed: int, image: str) -> list[int]:
    """The order in which an image's triggers are added to its mask."""
    return torch.randperm(count, generator=generator(seed, "triggers in order", image)).tolist()


def as_many(parts: Iterable[Mask], like: Mask, seed: int) -> Mask:
    """The union of as few masks as have the weights of ``like`` in each layer, cut to it at random.

    Fewer, where all of them together have fewer.
    """
    found: Mask = {name: torch.zeros_like(part) for name, part in like.items()}
    for part in parts:
        found = union(found, part)
        if all(found[name].sum() >= like[name].sum() for name in like):
            break
    return random.trimmed(found, like, seed)


def left(
    replicated: Sequence[NDArray[np.bool_]], orders: Sequence[list[int]], k: int
) -> tuple[Shares, Shares]:
    """Share of an image's triggers that still replicate: of those beyond the first ``k``, and of the ``k``.

    ``replicated`` and ``orders``: for each image, whether each trigger replicates, and their order.
    """
    pairs = list(zip(replicated, orders, strict=True))
    return (
        Shares.of([found[order[k:]] for found, order in pairs]),
        Shares.of([found[order[:k]] for found, order in pairs]),
    )
