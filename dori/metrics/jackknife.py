"""Jackknife intervals: of FID and KID over captions, of means over pairs over images.

A bootstrap draws images twice, and k(x, x) is no pair: it would bias the unbiased estimator.
"""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor
from torchmetrics.image.kid import poly_kernel

from dori.metrics.intervals import Estimate, check_confidence, estimate, point, vector


def jackknife(value: float, *left_out: Tensor | ArrayLike, n: int, confidence: float = 0.95) -> Estimate:
    """value ± t · error, of estimates without each part; parts of independent samples one after the other.

    t is Student's quantile with the parts of the smallest sample less one (Tukey, 1958); below three parts,
    or where one of the estimates is not finite, there are no bounds.

    >>> found = jackknife(2.0, [1.0, 2.0, 3.0], n=3)  # a mean of 0, 2 and 4 without each of them
    >>> round(found["high"], 2) == round(2 + 4.303 * 2 / 3**0.5, 2)
    True
    """
    check_confidence(confidence)
    fewest = min(len(part) for part in left_out)  # type: ignore[arg-type]
    if fewest < 3 or not all(np.isfinite(np.asarray(part)).all() for part in left_out):
        return point(value, n)
    error = math.hypot(*map(jackknife_error, left_out))
    half = float(stats.t.ppf((1 + confidence) / 2, fewest - 1)) * error
    return estimate(value, value - half, value + half, n)


def jackknife_ratio(
    numerator: float, denominator: float, left_numerator: ArrayLike, left_denominator: ArrayLike, n: int,
    confidence: float = 0.95,
) -> Estimate:  # fmt: skip
    """A ratio of two positive figures of one sample, jackknifed on its logarithm: nearly normal there."""
    with np.errstate(all="ignore"):
        logs = np.log(np.asarray(left_numerator, float)) - np.log(np.asarray(left_denominator, float))
        found = jackknife(float(np.log(numerator / denominator)), logs, n=n, confidence=confidence)
    low, high = (math.nan if end is None else math.exp(end) for end in (found["low"], found["high"]))
    return estimate(numerator / denominator if denominator else math.nan, low, high, n)


def jackknife_error(left_out: Tensor | ArrayLike) -> float:
    """Standard error of g estimates, each without one part: sqrt((g-1)/g · Σ (θ_i - mean)²).

    >>> jackknife_error([2.0, 2.0, 2.0])
    0.0
    """
    x = vector(left_out)
    return math.sqrt((len(x) - 1) / len(x) * float(np.square(x - x.mean()).sum()))


def mmd(x: Tensor, y: Tensor) -> tuple[float, Tensor, Tensor]:
    """The unbiased MMD² of two samples, and what it is without each row of ``x`` and each row of ``y``.

    MMD² = Σ_{i≠j} k(x_i, x_j) / (n(n-1)) + Σ_{i≠j} k(y_i, y_j) / (m(m-1))
         - 2 Σ_{ij} k(x_i, y_j) / (nm)

    (Gretton et al., JMLR 2012, eq. 3); leaving out a row takes its row sums away.

    Args:
        x: features (n, d).
        y: features (m, d).

    Returns:
        the value, and values (n,) and (m,), not finite where fewer than two rows would be left.

    >>> mmd(torch.zeros(4, 2), torch.zeros(3, 2))
    (0.0, tensor([0., 0., 0., 0.]), tensor([0., 0., 0.]))
    """
    n, m = len(x), len(y)
    xx, yy = _row_sums(x, x) - _diagonal(x, x), _row_sums(y, y) - _diagonal(y, y)
    xy, yx = _row_sums(x, y), _row_sums(y, x)
    total = xy.sum()
    value = xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * total / (n * m)
    without_x = (
        (xx.sum() - 2 * xx) / ((n - 1) * (n - 2))
        + yy.sum() / (m * (m - 1))
        - 2 * (total - xy) / ((n - 1) * m)
    )
    without_y = (
        xx.sum() / (n * (n - 1))
        + (yy.sum() - 2 * yy) / ((m - 1) * (m - 2))
        - 2 * (total - yx) / (n * (m - 1))
    )
    return float(value), without_x, without_y


def paired_mmd(x: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """The unbiased MMD² of two samples whose rows belong together, and what it is without each pair of rows.

    h(i, j) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), mean over all i ≠ j (Gretton et al.,
    JMLR 2012, eq. 4): without the terms k(x_i, y_i), which are larger where both rows have one caption.

    Args:
        x, y: features (n, d).

    Returns:
        the value, and values (n,).

    >>> paired_mmd(torch.zeros(3, 2), torch.zeros(3, 2))
    (0.0, tensor([0., 0., 0.]))
    """
    n, own = len(x), _diagonal(x, y)
    rows = _row_sums(x, x) - _diagonal(x, x) + _row_sums(y, y) - _diagonal(y, y)
    rows = rows - (_row_sums(x, y) - own) - (_row_sums(y, x) - own)
    total = rows.sum()
    return float(total / (n * (n - 1))), (total - 2 * rows) / ((n - 1) * (n - 2))


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    # in parts: the whole kernel of 10,000 images takes 800 MB
    return torch.cat([poly_kernel(part, y).sum(1) for part in x.split(1024)])


def _diagonal(x: Tensor, y: Tensor) -> Tensor:
    return ((x * y).sum(1) / x.shape[1] + 1) ** 3
