"""Medians and percentiles with their intervals; why these, and what they cover: docs/statistics.md."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from dori.metrics.intervals import FEWEST, Estimate, check_confidence, estimate, point, vector


def median_estimate(values: Tensor | ArrayLike, seed: int = 0, confidence: float = 0.95) -> Estimate:
    """Median over prompts of ``values`` (n,), with the percentile interval of a bootstrap over prompts and
    the median absolute deviation. Independent of the order of the values; below five there are no bounds.

    Raises:
        ValueError: if a value is not finite, or ``confidence`` is not between 0 and 1.

    >>> median_estimate([0.1, 0.8, 0.9])["mad"]  # the paper's "median ± median absolute deviation"
    0.1
    """
    check_confidence(confidence)
    # resampling draws positions: sorted, the order of targets (or of ranks) does not matter
    x = np.sort(vector(values))
    if not len(x):
        return {**point(math.nan, 0), "mad": None}
    found = point(float(np.median(x)), len(x))
    if len(x) >= FEWEST:
        low, high = _percentile_interval(x, seed, confidence) if np.ptp(x) else (x[0], x[0])
        found = estimate(float(np.median(x)), low, high, len(x))
    # rounded: 0.9 - 0.8 is 0.09999999999999998, and rows are read by people
    return {**found, "mad": round(float(stats.median_abs_deviation(x)), 12)}


def percentile_estimate(values: Tensor | ArrayLike, share: float, confidence: float = 0.95) -> Estimate:
    """The value below which a ``share`` of ``values`` (n,) lies, between order statistics: exact.

    No bounds where too few values can bound it: for the 95th percentile below n = 72.

    >>> percentile_estimate(range(71), 0.95)["high"], percentile_estimate(range(72), 0.95)["high"]
    (None, 71.0)
    """
    check_confidence(confidence)
    x = vector(values)
    if not len(x):
        return point(math.nan, 0)
    interval = stats.quantile_test(x, q=0, p=share).confidence_interval(confidence)
    value = float(np.percentile(x, 100 * share))
    if not np.isfinite([interval.low, interval.high]).all():
        return point(value, len(x))
    return estimate(value, interval.low, interval.high, len(x))


def _percentile_interval(x: NDArray[np.float64], seed: int, confidence: float) -> tuple[float, float]:
    interval = stats.bootstrap(
        (x,),
        np.median,
        batch=max(1, 2**22 // len(x)),  # bounds the memory: a batch holds at most 4 M values
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return interval.low, interval.high
