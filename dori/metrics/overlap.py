"""Overlap of the masks of disjoint groups of prompts: the groups are drawn, not their pairs."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dori.metrics.differences import agreeing
from dori.metrics.intervals import Estimate, estimate
from dori.metrics.jackknife import jackknife

Table = NDArray[np.float64]  # of all groups with all


def overlap(table: Table, same: bool, confidence: float = 0.95) -> Estimate:
    """Mean over pairs of groups, without a group with itself where both sides are the ``same``; jackknife.

    ``n`` counts the groups.

    >>> overlap(np.array([[1.0, 0.2], [0.2, 1.0]]), same=True)
    {'value': 0.2, 'low': None, 'high': None, 'n': 2}
    """
    if same:
        return jackknife(_mean(table), _left_out(table), n=len(table), confidence=confidence)
    rows, columns = ([float(np.delete(table, i, axis).mean()) for i in range(n)] if n > 1 else [np.nan]
                     for axis, n in enumerate(table.shape))  # fmt: skip
    return jackknife(float(table.mean()), rows, columns, n=len(table), confidence=confidence)


def overlap_difference(table: Table, first: int, confidence: float = 0.95) -> Estimate:
    """How much more the ``first`` groups overlap among themselves than the others do among themselves.

    A jackknife over the groups of either kind, agreeing with the exact test that permutes which groups are of
    which kind: of five and five there are 252 ways.
    """
    own, usual = table[:first, :first], table[first:, first:]

    def difference(a: NDArray, b: NDArray) -> float:
        return _mean(table[np.ix_(a, a)]) - _mean(table[np.ix_(b, b)])

    found = jackknife(
        _mean(own) - _mean(usual), _left_out(own), _left_out(usual), n=first, confidence=confidence
    )
    if found["value"] is None or found["low"] is None or found["high"] is None:
        return found
    places = np.arange(first), np.arange(first, len(table))
    p = stats.permutation_test(places, difference, rng=np.random.default_rng(0)).pvalue
    return estimate(found["value"], *agreeing((found["low"], found["high"]), p, confidence), first)


def _mean(table: Table) -> float:
    apart = ~np.eye(len(table), dtype=bool)
    return float(table[apart].mean()) if len(table) > 1 else np.nan


def _left_out(table: Table) -> list[float]:
    return [_mean(np.delete(np.delete(table, i, 0), i, 1)) for i in range(len(table))]
