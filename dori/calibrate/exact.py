"""Intervals of rates and of their differences: coverage by going through all results that there are."""

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dori.metrics.differences import Pairs, difference_of_shares, mcnemar, paired_difference
from dori.metrics.intervals import Estimate, share
from dori.results.reading.answers import needed

SIZES = (5, 8, 10, 12, 16, 20, 32, 48)
RATES = tuple(np.round(np.linspace(0, 1, 21), 2))
CORRELATIONS = (0.0, 0.3, 0.7)
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
SLACK = 1e-9  # a truth that equals a bound but for rounding is covered


def bounds(found: Sequence[Estimate]) -> Bounds:
    """Lower and upper ends (n,); a bound that is None is no bound."""
    low, high = zip(*((f["low"], f["high"]) for f in found), strict=True)
    return (np.array([-np.inf if x is None else x for x in low]),
            np.array([np.inf if x is None else x for x in high]))  # fmt: skip


def holds(ends: Bounds, truth: float) -> NDArray[np.bool_]:
    """Whether each interval holds the truth."""
    return (ends[0] <= truth + SLACK) & (truth - SLACK <= ends[1])


def one_rate(n: int) -> list[float]:
    """Coverage of ``share`` at each of the ``RATES``."""
    ends, hits = bounds([share(k, n) for k in range(n + 1)]), np.arange(n + 1)
    return [float(stats.binom.pmf(hits, n, p) @ holds(ends, p)) for p in RATES]


def two_rates(m: int, n: int) -> list[float]:
    """Coverage of ``difference_of_shares`` at each pair of the ``RATES``."""
    cells = list(product(range(m + 1), range(n + 1)))
    ends = bounds([difference_of_shares(k, m, j, n) for k, j in cells])
    k, j = np.array(cells).T
    return [
        float((stats.binom.pmf(k, m, p) * stats.binom.pmf(j, n, q)) @ holds(ends, p - q))
        for p, q in product(RATES, repeat=2)
    ]


@cache
def tables(n: int) -> tuple[NDArray[np.int64], Bounds, NDArray[np.float64]]:
    """All tables of n pairs (tables, 4), the interval of each and McNemar's p."""
    found = [Pairs(b, f, s, n - b - f - s) for b, f, s in product(range(n + 1), repeat=3) if b + f + s <= n]
    ends = bounds([paired_difference(pairs) for pairs in found])
    return np.array(found), ends, np.array([mcnemar(pairs) for pairs in found])


def cells(p: float, q: float, correlation: float) -> NDArray[np.float64]:
    """Chances of (both, first alone, second alone, neither), with a correlation as far as it can be."""
    both = p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q))
    both = min(max(both, max(0.0, p + q - 1)), min(p, q))
    return np.clip([both, p - both, q - both, 1 - p - q + both], 0, 1)


def paired_rates(n: int) -> list[float]:
    """Coverage of ``paired_difference`` at pairs of rates and correlations."""
    found, ends, _ = tables(n)
    return [
        float(stats.multinomial.pmf(found, n, cells(p, q, r)) @ holds(ends, p - q))
        for p, q in product(RATES[::2], repeat=2) for r in CORRELATIONS
    ]  # fmt: skip


def false_above(n: int) -> float:
    """The largest chance of a wrong *above* on the same prompts, over equal rates and correlations."""
    found, ends, _ = tables(n)
    chances = (stats.multinomial.pmf(found, n, cells(p, p, r)) for p in RATES for r in CORRELATIONS)
    return max(float(chance @ (ends[0] > 0)) for chance in chances)


def false_within(n: int, margin: float) -> float:
    """The largest chance of a wrong *within* on the same prompts, where the margin is just reached."""
    found, ends, _ = tables(n)
    rates = [(q + margin, q) for q in RATES if q + margin <= 1]
    chances = (stats.multinomial.pmf(found, n, cells(p, q, r)) for p, q in rates for r in CORRELATIONS)
    told = ends[1] < (margin if n >= needed(margin) else SLACK)
    return max(float(chance @ told) for chance in chances)
