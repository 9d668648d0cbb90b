"""Jackknife intervals for FID and KID.

A bootstrap draws images twice, and k(x, x) is no pair: it would bias the unbiased estimator.
"""

import math

import torch
from scipy import stats
from torch import Tensor
from torchmetrics.image.kid import poly_kernel

from dori.metrics.intervals import Estimate, check_confidence, estimate


def normal_interval(value: float, error: float, n: int, confidence: float = 0.95) -> Estimate:
    """value ± z · error, z the normal quantile; for estimators whose bootstrap would be biased.

    >>> normal_interval(1.0, 0.0, n=10)
    {'value': 1.0, 'low': 1.0, 'high': 1.0, 'n': 10}
    """
    check_confidence(confidence)
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * error
    return estimate(value, value - half, value + half, n)


def jackknife_error(left_out: Tensor) -> float:
    """Standard error of g estimates, each without one part: sqrt((g-1)/g · Σ (θ_i - mean)²).

    >>> jackknife_error(torch.tensor([2.0, 2.0, 2.0]))
    0.0
    """
    g = len(left_out)
    return math.sqrt((g - 1) / g * float((left_out - left_out.mean()).square().sum()))


def mmd_left_out(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The unbiased MMD² of ``x`` and ``y``, without each row of ``x`` and each row of ``y``.

    MMD² = Σ_{i≠j} k(x_i, x_j) / (n(n-1)) + Σ_{i≠j} k(y_i, y_j) / (m(m-1))
         - 2 Σ_{ij} k(x_i, y_j) / (nm);
    leaving out a row takes its row sums away.

    Args:
        x: features (n, d).
        y: features (m, d).

    Returns:
        values (n,) and (m,); not finite where fewer than two rows would be left.

    >>> without_x, without_y = mmd_left_out(torch.zeros(4, 2), torch.zeros(3, 2))
    >>> without_x, without_y
    (tensor([0., 0., 0., 0.]), tensor([0., 0., 0.]))
    """
    n, m = len(x), len(y)
    xx, yy = _row_sums(x, x) - _diagonal(x), _row_sums(y, y) - _diagonal(y)
    xy, yx = _row_sums(x, y), _row_sums(y, x)
    total = xy.sum()
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
    return without_x, without_y


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    # in parts: the whole kernel of 10,000 images takes 800 MB
    return torch.cat([poly_kernel(part, y).sum(1) for part in x.split(1024)])


def _diagonal(x: Tensor) -> Tensor:
    return (x.square().sum(1) / x.shape[1] + 1) ** 3
