"""Overlap of what pruning methods select, over all pairs, and what chance gives for sets of those sizes."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import hypergeom
from torch import Tensor

from dori.pruning.masks import Mask
from dori.studies.locality.analysis.members import Members, units

BITS = 2**26  # unpacked at once
CHANCE_PAIRS = 64  # of each two images for which chance is computed
TAILS = 12  # standard deviations of the overlap's distribution that are kept

Array = NDArray[np.float64]
Packed = dict[str, Tensor]  # per layer uint8 (n, ceil(size / 8)); with ``size/<layer>`` (1,)


def packed(masks: list[Mask]) -> Packed:
    """Masks as bits: a mask of SD 1.4's feed-forward layers takes 5 MB."""
    found: Packed = {}
    for name in masks[0]:
        rows = torch.stack([mask[name].flatten() for mask in masks]).numpy()
        found[name] = torch.from_numpy(np.packbits(rows, axis=1))
        found[f"size/{name}"] = torch.tensor([rows.shape[1]])
    return found


def joined(parts: Iterable[Packed]) -> Packed:
    """Packed masks of the same layers, one set after the other."""
    parts = list(parts)
    return {
        name: parts[0][name] if name.startswith("size/") else torch.cat([part[name] for part in parts])
        for name in parts[0]
    }


def layers(masks: Packed) -> dict[str, int]:
    """The layers with their sizes."""
    return {name: int(masks[f"size/{name}"]) for name in masks if not name.startswith("size/")}


def unpacked(masks: Packed, place: int, shapes: dict[str, tuple[int, ...]]) -> Mask:
    """One of the masks, as booleans of the layers' shapes."""
    found = {}
    for name, size in layers(masks).items():
        bits = np.unpackbits(masks[name][place].numpy(), count=size)
        found[name] = torch.from_numpy(bits.astype(bool)).view(shapes[name])
    return found


def shared(masks: Packed) -> tuple[Array, NDArray[np.int64]]:
    """Of all pairs how much they share (n, n), and of each mask its count per layer (n, layers)."""
    n = len(masks[next(iter(layers(masks)))])
    total, counts = torch.zeros(n, n, dtype=torch.float64), []
    for name in layers(masks):
        within = torch.zeros(n, n, dtype=torch.float64)
        for part in masks[name].split(max(1, BITS // (8 * n)), dim=1):
            # whole numbers below 2^24: exact in float32
            bits = torch.from_numpy(np.unpackbits(part.numpy(), axis=1)).float()
            within += (bits @ bits.T).double()
        total += within
        counts.append(within.diagonal().long())
    return total.numpy(), torch.stack(counts, 1).numpy()


def iou(shared: Array, counts: NDArray[np.int64], empty: float) -> Array:
    """Intersection over union of all pairs (n, n); ``empty``: what two empty sets count as."""
    sizes = counts.sum(1)
    either = sizes[:, None] + sizes[None, :] - shared
    return np.where(either > 0, shared / np.maximum(either, 1), empty)


@lru_cache(maxsize=2**18)
def _expected(a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, ...]) -> float:
    first, chances = 0, np.ones(1)
    for x, y, size in zip(a, b, sizes, strict=True):
        low, high = max(0, x + y - size), min(x, y)
        mean = x * y / size
        spread = TAILS * np.sqrt(mean * (1 - x / size) * (size - y) / max(1, size - 1)) + 1
        low, high = max(low, int(mean - spread)), min(high, int(np.ceil(mean + spread)))
        own = hypergeom.pmf(np.arange(low, high + 1), size, x, y)
        first, chances = first + low, np.convolve(chances, own)
    overlap = first + np.arange(len(chances))
    either = sum(a) + sum(b) - overlap
    return float((chances * overlap / np.maximum(either, 1)).sum()) if sum(a) + sum(b) else np.nan


def expected_iou(a: Iterable[int], b: Iterable[int], sizes: Iterable[int]) -> float:
    """IoU to expect of two masks drawn at random with ``a`` and ``b`` of each layer's weights. Exact.

    The overlap in a layer is hypergeometric, and independent of the other layers'; with O their sum,
    E[O / (|a| + |b| - O)]. NaN where both are empty. Beyond 12 standard deviations the distribution
    of a layer is cut off: less than what float64 holds.

    >>> expected_iou([1], [1], [2])  # the same one of two, or not
    0.5
    """
    one, other, size = (tuple(int(value) for value in values) for values in (a, b, sizes))
    return _expected(min(one, other), max(one, other), size)


def chance(counts: NDArray[np.int64], sizes: list[int], members: Members) -> Array:
    """``expected_iou`` (n, n) of pairs of one kind; at most ``CHANCE_PAIRS`` of each two units, else NaN."""
    found = np.full((len(counts), len(counts)), np.nan)
    for kind in dict.fromkeys(member.kind for member in members):
        groups = units(members, kind)
        for a, rows in enumerate(groups):
            for columns in groups[a:]:
                pairs = [(i, j) for i in rows for j in columns if i != j]
                for i, j in pairs[:: max(1, len(pairs) // CHANCE_PAIRS)]:
                    found[i, j] = found[j, i] = expected_iou(counts[i], counts[j], sizes)
    return found
