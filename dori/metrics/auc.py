"""How well a score tells two groups apart: the area under the ROC curve."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from dori.metrics.intervals import Estimate, check_confidence, estimate


def auc(positive: ArrayLike, negative: ArrayLike, confidence: float = 0.95) -> Estimate:
    """P(positive > negative) + P(equal) / 2, of scores (m,) and (n,); ``n`` counts both.

    The interval is Newcombe's (Statistics in Medicine 2006, method 5): the areas θ from which the
    one found is not further than the normal quantile of Hanley and McNeil's deviation at θ. So it
    is no point where the groups do not overlap.

    Raises:
        ValueError: a group is empty, or ``confidence`` is not between 0 and 1.

    >>> found = auc([0.9, 0.8, 0.7], [0.1, 0.2, 0.3])
    >>> found["value"], round(found["low"], 2), found["high"]
    (1.0, 0.5, 1.0)
    """
    check_confidence(confidence)
    m, n = np.size(positive), np.size(negative)
    if not m or not n:
        raise ValueError(f"{m} scores against {n} have no AUC: give at least one of each")
    area = float(stats.mannwhitneyu(positive, negative).statistic) / (m * n)
    z, half = stats.norm.ppf((1 + confidence) / 2), (m + n) / 2 - 1

    def excess(theta: float) -> float:
        spread = 1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(area - theta) - z * math.sqrt(theta * (1 - theta) * spread / (m * n))

    inside = min(max(area, 1e-12), 1 - 1e-12)  # at 0 and 1 themselves the deviation is none
    low = optimize.brentq(excess, 0, inside) if area > 0 else 0.0
    high = optimize.brentq(excess, inside, 1) if area < 1 else 1.0
    return estimate(area, low, high, m + n)
