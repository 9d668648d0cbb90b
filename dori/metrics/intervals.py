"""Estimates with their intervals, one place for each: every number in a report carries its n.

Why these intervals, what they really cover and where from: docs/statistics.md. Those of differences are in
:mod:`dori.metrics.differences`. Where no interval is known to hold there is none: its bounds are None.
"""

import math
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

FEWEST = 5  # values: of four, even the whole range holds the median in 87.5 % only


class Estimate(TypedDict):
    """What ``rows.json`` holds for one metric: finite numbers or None, never NaN."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    mad: NotRequired[float | None]  # median absolute deviation, beside a median
    pairs: NotRequired[list[int]]  # beside a paired difference: both, first alone, second alone, neither


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """An ``Estimate`` of plain Python numbers; what is not finite becomes None.

    >>> estimate(0.5, float("nan"), float("inf"), 2)
    {'value': 0.5, 'low': None, 'high': None, 'n': 2}
    """
    finite = [float(x) if math.isfinite(x) else None for x in (value, low, high)]
    return {"value": finite[0], "low": finite[1], "high": finite[2], "n": int(n)}


def point(value: float, n: int) -> Estimate:
    """A value without an interval.

    >>> point(3, 2)
    {'value': 3.0, 'low': None, 'high': None, 'n': 2}
    """
    return estimate(value, math.nan, math.nan, n)


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share ``k / n``; at zero of n a bootstrap would give [0, 0].

    low = BetaQuantile(a/2; k, n-k+1), high = BetaQuantile(1-a/2; k+1, n-k), a = 1 - confidence.

    Raises:
        ValueError: if not 0 <= k <= n with n >= 1, or ``confidence`` is not between 0 and 1.

    >>> low, high = clopper_pearson(0, 48)
    >>> low, round(high, 3)
    (0.0, 0.074)
    """
    check_confidence(confidence)
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"{k} successes of {n} is no share: give 0 <= k <= n with n >= 1")
    return _beta_bounds(k, n - k, confidence)


def _beta_bounds(hits: float, misses: float, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's, also of numbers of trials that are not whole."""
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, hits, misses + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, misses) if misses > 0 else 1.0
    return float(low), float(high)


def share(k: int, n: int, confidence: float = 0.95) -> Estimate:
    """k / n with its Clopper-Pearson interval.

    >>> share(0, 0)  # of nothing, nothing is known
    {'value': None, 'low': 0.0, 'high': 1.0, 'n': 0}
    """
    if n == 0:
        return estimate(math.nan, 0.0, 1.0, 0)
    return estimate(k / n, *clopper_pearson(k, n, confidence), n)


def mean_of_shares(
    shares: Tensor | ArrayLike, trials: Tensor | ArrayLike | int, confidence: float = 0.95
) -> Estimate:
    """Mean over images of each one's share of hits among ``trials`` (restarts, triggers, pictures).

    Clopper and Pearson's interval at the number of independent trials that would spread as much (Korn and
    Graubard, Survey Methodology 1998): n_e = p(1-p) / var(p) times the squared ratio of Student's quantiles
    at all trials and at the images; between the images and all the trials. Where all images agree it is n.

    Raises:
        ValueError: a share is not finite or outside [0, 1], or ``confidence`` is.

    >>> found = mean_of_shares([0, 0, 0, 0, 0.5], trials=6)
    >>> found["value"], found["low"] > 0, found["n"]
    (0.1, True, 5)
    """
    check_confidence(confidence)
    x = vector(shares)
    n, total = len(x), float(np.broadcast_to(vector(trials), len(x)).sum())
    if n == 0:
        return estimate(math.nan, 0.0, 1.0, 0)
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"shares from {x.min():g} to {x.max():g}: give shares between 0 and 1")
    p, effective, upper = float(x.mean()), float(n), (1 + confidence) / 2
    if n > 1 and np.ptp(x) > 0:
        smaller = (stats.t.ppf(upper, total - 1) / stats.t.ppf(upper, n - 1)) ** 2
        effective = min(p * (1 - p) / (x.var(ddof=1) / n) * smaller, total)
    return estimate(p, *_beta_bounds(p * effective, (1 - p) * effective, confidence), n)


def mean_estimate(values: Tensor | ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean of ``values`` (n,) with Student's interval: mean ± t(n-1) sd / sqrt(n).

    No value: all None; one, or all alike: no bounds, since nothing is known of their spread.

    Raises:
        ValueError: if a value is not finite, or ``confidence`` is not between 0 and 1.

    >>> found = mean_estimate([1.0, 2.0, 3.0])
    >>> found["value"], round(found["high"], 2)
    (2.0, 4.48)
    """
    check_confidence(confidence)
    x = vector(values)
    if not len(x):
        return point(math.nan, 0)
    if np.ptp(x) == 0:
        return point(x[0], len(x))
    interval = stats.ttest_1samp(x, 0).confidence_interval(confidence)
    return estimate(x.mean(), interval.low, interval.high, len(x))


def vector(values: Any) -> NDArray[np.float64]:
    """Finite numbers as an array (n,), from a tensor on any device or a sequence.

    Raises:
        ValueError: if a value is not finite.
    """
    if isinstance(values, Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    found = np.asarray(values, dtype=np.float64).reshape(-1)
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        counts = f"{len(wrong)} of {len(found)} values are not finite, the first at index {wrong[0]}"
        raise ValueError(f"{counts}: list those targets as failed and leave them out")
    return found


def check_confidence(confidence: float) -> None:
    """Raises ValueError where ``confidence`` is not between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1: give 0.95 for 95 %")
