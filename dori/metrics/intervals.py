"""Estimates with their intervals: every number in a report carries its n and its interval."""

import math
from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

# np.mean, np.median and the like: takes an array and the axis to reduce
Statistic = Callable[..., Any]


class Estimate(TypedDict):
    """What ``rows.json`` holds for one metric: finite numbers or None, never NaN."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    mad: NotRequired[float | None]  # median absolute deviation, beside a median


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """An ``Estimate`` of plain Python numbers; what is not finite becomes None.

    >>> estimate(0.5, float("nan"), float("inf"), 2)
    {'value': 0.5, 'low': None, 'high': None, 'n': 2}
    """
    finite = [float(x) if math.isfinite(x) else None for x in (value, low, high)]
    return {"value": finite[0], "low": finite[1], "high": finite[2], "n": int(n)}


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
    interval = stats.binomtest(int(k), int(n)).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def share(k: int, n: int, confidence: float = 0.95) -> Estimate:
    """k / n with its Clopper-Pearson interval.

    >>> share(0, 0)  # of nothing, nothing is known
    {'value': None, 'low': 0.0, 'high': 1.0, 'n': 0}
    """
    if n == 0:
        return estimate(math.nan, 0.0, 1.0, 0)
    return estimate(k / n, *clopper_pearson(k, n, confidence), n)


def paired_shares(a: Tensor | ArrayLike, b: Tensor | ArrayLike, confidence: float = 0.95) -> Estimate:
    """share(a) - share(b) of two settings on the same prompts, each boolean (n,).

    Exact, as McNemar's test is: given that d prompts differ, the share of them that only ``a`` has
    lies in its Clopper-Pearson interval (p, q), and the difference in d/n (2p - 1, 2q - 1). A
    bootstrap of two of two prompts would give [1, 1].

    Raises:
        ValueError: if the lengths differ, or ``confidence`` is not between 0 and 1.

    >>> paired_shares([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0])["low"] > 0
    True
    """
    check_confidence(confidence)
    x, y = _vector(a).astype(bool), _vector(b).astype(bool)
    _check_paired(x, y)
    n, differing, only_a = len(x), int((x != y).sum()), int((x & ~y).sum())
    if n == 0:
        return estimate(math.nan, -1.0, 1.0, 0)
    low, high = clopper_pearson(only_a, differing, confidence) if differing else (0.5, 0.5)
    bounds = ((2 * end - 1) * differing / n for end in (low, high))
    return estimate((2 * only_a - differing) / n, *bounds, n)


def bootstrap(
    values: Tensor | ArrayLike,
    statistic: Statistic,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Estimate:
    """``statistic`` of ``values`` (n,), one per prompt, with the percentile interval over prompts.

    Independent of the order of the values. No value: all None; one value: low = high = value.

    Raises:
        ValueError: if a value is not finite, or ``confidence`` is not between 0 and 1.

    >>> bootstrap([0.9, 0.9, 0.9], np.median, seed=0)
    {'value': 0.9, 'low': 0.9, 'high': 0.9, 'n': 3}
    """
    # resampling draws positions: sorted, the order of targets (or of ranks) does not matter
    return _percentile((np.sort(_vector(values)),), statistic, seed, confidence, resamples)


def paired_bootstrap(
    a: Tensor | ArrayLike,
    b: Tensor | ArrayLike,
    statistic: Statistic,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Estimate:
    """statistic(a) - statistic(b) of two settings on the same prompts (n,), resampled in pairs.

    Raises:
        ValueError: if the lengths differ, a value is not finite, or ``confidence`` is out of range.

    >>> paired_bootstrap([3.0, 5.0, 7.0], [1.0, 3.0, 5.0], np.median, seed=0)
    {'value': 2.0, 'low': 2.0, 'high': 2.0, 'n': 3}
    """
    x, y = _vector(a), _vector(b)
    _check_paired(x, y)
    order = np.lexsort((y, x))

    def difference(x: NDArray[Any], y: NDArray[Any], axis: int) -> Any:
        return statistic(x, axis=axis) - statistic(y, axis=axis)

    return _percentile((x[order], y[order]), difference, seed, confidence, resamples)


def median_estimate(values: Tensor | ArrayLike, seed: int = 0, confidence: float = 0.95) -> Estimate:
    """Median over prompts of ``values`` (n,), its interval, and the median absolute deviation.

    >>> median_estimate([0.1, 0.8, 0.9])["mad"]  # the paper's "median ± median absolute deviation"
    0.1
    """
    result = bootstrap(values, np.median, seed, confidence)
    vector = _vector(values)
    # rounded: 0.9 - 0.8 is 0.09999999999999998, and rows are read by people
    mad = round(float(stats.median_abs_deviation(vector)), 12) if len(vector) else None
    return {**result, "mad": mad}


def _percentile(
    data: tuple[NDArray[Any], ...],
    statistic: Statistic,
    seed: int,
    confidence: float,
    resamples: int,
) -> Estimate:
    check_confidence(confidence)
    n = len(data[0])
    if n == 0:
        return estimate(math.nan, math.nan, math.nan, 0)
    value = float(statistic(*data, axis=-1))
    if all(np.ptp(x) == 0 for x in data):  # one value, or all alike: nothing to resample
        return estimate(value, value, value, n)
    interval = stats.bootstrap(
        data,
        statistic,
        n_resamples=resamples,
        batch=max(1, 2**22 // n),  # bounds the memory: a batch holds at most 4 M values
        vectorized=True,
        paired=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return estimate(value, interval.low, interval.high, n)


def _vector(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    if isinstance(values, Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    vector = np.asarray(values, dtype=np.float64).reshape(-1)
    wrong = np.flatnonzero(~np.isfinite(vector))
    if len(wrong):
        counts = f"{len(wrong)} of {len(vector)} values are not finite, the first at index {wrong[0]}"
        raise ValueError(f"{counts}: list those targets as failed and leave them out")
    return vector


def _check_paired(x: NDArray[Any], y: NDArray[Any]) -> None:
    if len(x) != len(y):
        raise ValueError(
            f"{len(x)} and {len(y)} values cannot be paired: give both settings the same prompts"
        )


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1: give 0.95 for 95 %")
