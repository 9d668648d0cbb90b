"""When is a similarity a copy's? Judged by pictures that the model did not see, by order statistics alone."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from dori.metrics.intervals import vector


@dataclass(frozen=True)
class Threshold:
    """Above ``value`` a picture counts as copied.

    Args:
        rate: of false positives that was asked for.
        borne: that so few controls bear, at least ``rate``; None where there are no controls.
        low, high: of the true rate at this threshold, 95 %.
        n: controls.
        source: what they are: ``held_out``, ``base``, or ``published`` where there are none.
    """

    value: float
    rate: float
    borne: float | None
    low: float | None
    high: float | None
    n: int
    source: str

    def as_dict(self) -> dict:
        return asdict(self)


def threshold(controls: ArrayLike, rate: float, source: str, published: float) -> Threshold:
    """The k-th smallest of m controls' similarities, k = ⌈(m + 1)(1 - rate)⌉, but at most the largest.

    One more control exceeds it with a probability of 1 - k / (m + 1). The true rate, given these controls,
    has the distribution Beta(m - k + 1, k), whatever the similarities' own: its interval is exact.

    >>> found = threshold(range(99), 0.01, "held_out", 0.7)
    >>> found.value, found.borne
    (98.0, 0.01)
    >>> threshold(range(9), 0.01, "held_out", 0.7).borne
    0.1
    >>> threshold([], 0.01, "held_out", 0.7).source
    'published'
    """
    found = np.sort(vector(controls))
    m = len(found)
    if not m:
        return Threshold(published, rate, None, None, None, 0, "published")
    k = min(math.ceil(round((m + 1) * (1 - rate), 9)), m)
    low, high = stats.beta.ppf([0.025, 0.975], m - k + 1, k)
    return Threshold(float(found[k - 1]), rate, (m + 1 - k) / (m + 1), float(low), float(high), m, source)


def p_values(similar: ArrayLike, controls: ArrayLike) -> NDArray[np.float64]:
    """(1 + controls that are as similar) / (1 + controls): conformal p-values (n,) of similarities (n,).

    Valid where a picture that was not memorized is one more control. Without controls all are 1.

    >>> p_values([0.9, 0.2], [0.1, 0.3, 0.5]).tolist()
    [0.25, 0.75]
    """
    known = np.sort(vector(controls))
    above = len(known) - np.searchsorted(known, vector(similar), side="left")
    return (1 + above) / (1 + len(known))


def q_values(p: ArrayLike) -> NDArray[np.float64]:
    """Benjamini and Hochberg's: the least false discovery rate at which each is on the list.

    >>> q_values([0.01, 0.04, 1.0]).tolist()
    [0.03, 0.06, 1.0]
    """
    found = np.asarray(p, dtype=float)
    return stats.false_discovery_control(found, method="bh") if len(found) else found


def copies(similar: ArrayLike, controls: ArrayLike, limit: Threshold, fdr: float) -> NDArray[np.bool_]:
    """Which similarities (n,) are copies: above the threshold, and kept by Benjamini and Hochberg at ``fdr``.

    What lies above every control is kept too: so few controls can say no more of it.
    """
    found = vector(similar)
    above = found > limit.value
    if not limit.n:
        return above
    known = vector(controls)
    kept = q_values(p_values(found, known)) <= fdr
    return above & (kept | (found > known.max()))
