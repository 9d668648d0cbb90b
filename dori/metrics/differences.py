"""Differences of two shares: one interval from the two single ones, and the test that it agrees with.

Newcombe (Statistics in Medicine 1998; 17: 873 and 2635): with the single intervals (l1, u1) and (l2, u2) of
shares p1 and p2 that correlate by r,

    low  = p1 - p2 - sqrt((p1-l1)² - 2r (p1-l1)(u2-p2) + (u2-p2)²)
    high = p1 - p2 + sqrt((u1-p1)² - 2r (u1-p1)(p2-l2) + (p2-l2)²).

The test decides whether there is a difference, and the interval says how large it is: where the test does
not tell the two apart the interval is widened to hold zero, so that the two cannot contradict each other.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from dori.metrics.intervals import (
    Estimate,
    check_confidence,
    clopper_pearson,
    estimate,
    mean_of_shares,
    vector,
)

Bounds = tuple[float, float]


class Pairs(NamedTuple):
    """Of prompts that two settings share: how many both replicate, one alone, or neither."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def value(self) -> float:
        """The first share minus the second."""
        return (self.first - self.second) / sum(self)


def joined(p: float, of_p: Bounds, q: float, of_q: Bounds, correlation: float = 0.0) -> Bounds:
    """Bounds of p - q from those of p and of q (see the module)."""

    def half(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * correlation * x * y + y * y))

    return p - q - half(p - of_p[0], of_q[1] - q), p - q + half(of_p[1] - p, q - of_q[0])


def agreeing(bounds: Bounds, p_value: float, confidence: float) -> Bounds:
    """The bounds, widened to zero where a test does not tell it from the difference.

    >>> agreeing((0.01, 0.4), p_value=0.2, confidence=0.95)
    (0.0, 0.4)
    """
    low, high = bounds
    return bounds if p_value < 1 - confidence else (min(low, 0.0), max(high, 0.0))


def mcnemar(pairs: Pairs) -> float:
    """Two-sided mid-p of McNemar's test (Fagerland, Lydersen, Laake, BMC Med. Res. Methodol. 2013; 13: 91).

    The exact test on the pairs that differ, less half the probability of what was seen: the exact one has
    little power for ten or twenty prompts, and this one keeps its level all the same.

    >>> round(mcnemar(Pairs(both=0, first=5, second=0, neither=5)), 4)
    0.0312
    """
    differing, larger = pairs.first + pairs.second, max(pairs.first, pairs.second)
    tail = stats.binom.sf(larger - 1, differing, 0.5) - stats.binom.pmf(larger, differing, 0.5) / 2
    return min(1.0, 2 * float(tail))


def newcombe(pairs: Pairs, confidence: float = 0.95) -> Bounds:
    """Bounds of the difference of two shares of the same prompts: Newcombe's method 10 (1998).

    The single intervals are Wilson's; the correlation is phi with his correction for continuity.
    """
    both, first, second, neither = pairs
    n = sum(pairs)
    (p, of_p), (q, of_q) = ((k / n, _wilson(k, n, confidence)) for k in (both + first, both + second))
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    excess: float = both * neither - first * second
    excess = max(excess - n / 2, 0) if excess > 0 else excess
    return joined(p, of_p, q, of_q, excess / math.sqrt(product) if product else 0.0)


@lru_cache(maxsize=2**14)
def _wilson(k: int, n: int, confidence: float) -> Bounds:
    low, high = stats.binomtest(k, n).proportion_ci(confidence, "wilson")
    return float(low), float(high)


def paired_difference(pairs: Pairs, confidence: float = 0.95) -> Estimate:
    """The first share minus the second of the same prompts: Newcombe's interval, agreeing with McNemar.

    Raises:
        ValueError: if ``confidence`` is not between 0 and 1.

    >>> found = paired_difference(Pairs(both=0, first=0, second=0, neither=10))
    >>> found["value"], round(found["high"], 2), found["pairs"]
    (0.0, 0.28, [0, 0, 0, 10])
    """
    check_confidence(confidence)
    if not sum(pairs):
        return {**estimate(math.nan, -1.0, 1.0, 0), "pairs": list(pairs)}
    bounds = agreeing(newcombe(pairs, confidence), mcnemar(pairs), confidence)
    return {**estimate(pairs.value, *bounds, sum(pairs)), "pairs": list(pairs)}


def paired_shares(a: Tensor | ArrayLike, b: Tensor | ArrayLike, confidence: float = 0.95) -> Estimate:
    """share(a) - share(b) of two settings on the same prompts, each boolean (n,): ``paired_difference``.

    Raises:
        ValueError: if the lengths differ, or ``confidence`` is not between 0 and 1.

    >>> paired_shares([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0])["low"] > 0
    True
    """
    x, y = vector(a).astype(bool), vector(b).astype(bool)
    _check_paired(len(x), len(y))
    counts = ((x & y).sum(), (x & ~y).sum(), (~x & y).sum(), (~x & ~y).sum())
    return paired_difference(Pairs(*map(int, counts)), confidence)


def boschloo(k: int, m: int, j: int, n: int) -> float:
    """Two-sided p of k of m against j of n other prompts: twice Boschloo's (1970) exact one.

    Fisher's p, taken as a statistic and not as a probability: never less powerful, at the same level.
    """
    return min(
        1.0, 2 * _boschloo_one_sided(k, m, j, n) if k / m >= j / n else 2 * _boschloo_one_sided(j, n, k, m)
    )


@lru_cache(maxsize=2**14)  # a twentieth of a second each, and reports ask the same again and again
def _boschloo_one_sided(k: int, m: int, j: int, n: int) -> float:
    return float(stats.boschloo_exact([[k, j], [m - k, n - j]], alternative="greater").pvalue)


def difference_of_shares(k: int, m: int, j: int, n: int, confidence: float = 0.95) -> Estimate:
    """k / m - j / n of different prompts: from Clopper and Pearson's intervals, agreeing with Boschloo.

    ``n`` of the estimate is the smaller of the two.

    >>> found = difference_of_shares(7, 10, 0, 5)
    >>> round(found["value"], 2), round(found["low"], 2), found["n"]
    (0.7, 0.07, 5)
    """
    of_p, of_q = clopper_pearson(k, m, confidence), clopper_pearson(j, n, confidence)
    bounds = agreeing(joined(k / m, of_p, j / n, of_q), boschloo(k, m, j, n), confidence)
    return estimate(k / m - j / n, *bounds, min(m, n))


def difference_over_images(
    a: ArrayLike, b: ArrayLike, trials_a: ArrayLike, trials_b: ArrayLike, confidence: float = 0.95
) -> Estimate:
    """mean(a) - mean(b) of shares of the same images (n,), each of so many trials: of two ``mean_of_shares``.

    >>> difference_over_images([0.5, 1, 0.75, 1, 0.75], [0, 0, 0, 0, 0.25], 4, 4)["low"] > 0
    True
    """
    x, y = vector(a), vector(b)
    _check_paired(len(x), len(y))
    one, other = mean_of_shares(x, trials_a, confidence), mean_of_shares(y, trials_b, confidence)
    if one["value"] is None or other["value"] is None:
        return estimate(math.nan, -1.0, 1.0, 0)
    varying = len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    correlation = float(np.corrcoef(x, y)[0, 1]) if varying else 0.0
    sides = [(f["low"] or 0.0, 1.0 if f["high"] is None else f["high"]) for f in (one, other)]
    bounds = joined(one["value"], sides[0], other["value"], sides[1], correlation)
    return estimate(one["value"] - other["value"], *bounds, len(x))


def holm(p_values: ArrayLike) -> list[float]:
    """p-values of several tests, adjusted so that any false rejection is as rare as of one (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = vector(p_values)
    order, found = np.argsort(p, kind="stable"), np.empty(len(p))
    found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return found.tolist()


def _check_paired(one: int, other: int) -> None:
    if one != other:
        raise ValueError(f"{one} and {other} values cannot be paired: give both settings the same prompts")
