"""Work: how many gradient evaluations an attack needs, by survival analysis (Kaplan and Meier, 1958).

The "Adversarial Work Criterion" (ICML 2026 MemFM workshop) asks what an adversary must spend; counted
here are gradient evaluations until the first copy, censored where the budget ended without one.
"""

import warnings
from typing import NotRequired

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from dori.metrics.intervals import Estimate, check_confidence, clopper_pearson, estimate


class Work(Estimate):
    """The median, None where fewer than half replicated; ``survival`` is the curve that it is read from."""

    survival: NotRequired[list[list[float]]]


def work_of_restarts(reached: Tensor, steps: int, pairs: int) -> tuple[Tensor, Tensor]:
    """What each target took, its restarts tried one after the other until one replicates; ours.

    Args:
        reached: steps to replication (targets, restarts), -1 where there was none.
        steps: the budget of one restart.
        pairs: gradient evaluations of one step.

    Returns:
        gradient evaluations (targets,) and whether they led to a copy, boolean (targets,).

    >>> work_of_restarts(torch.tensor([[10, -1], [-1, 20], [-1, -1]]), steps=50, pairs=8)
    (tensor([ 80, 560, 800]), tensor([ True,  True, False]))
    """
    replicated = (reached >= 0).any(1)
    first = (reached >= 0).int().argmax(1)
    tried = first * steps + reached.gather(1, first[:, None])[:, 0]
    return torch.where(replicated, tried, reached.shape[1] * steps) * pairs, replicated


def survival(
    work: Tensor | ArrayLike, replicated: Tensor | ArrayLike, confidence: float = 0.95
) -> NDArray[np.float64]:
    """S(w), the share not yet replicated after w gradient evaluations: Kaplan-Meier, right-censored.

    Args:
        work: gradient evaluations (n,), until replication or until the attack gave up.
        replicated: which of the two, boolean (n,).

    Returns:
        (k, 4), at zero and at each different work in rising order: work, S and its pointwise interval:
        Greenwood's variance on the scale log(-log S), so within 0 and 1; where S is 0 or 1 and has no
        variance, Clopper and Pearson's.

    Raises:
        ValueError: lengths differ, or ``confidence`` is out of range.

    >>> survival([8, 16, 16, 40], [True, True, False, False])[:, :2].tolist()
    [[0.0, 1.0], [8.0, 0.75], [16.0, 0.5], [40.0, 0.5]]
    """
    check_confidence(confidence)
    spent, copied = np.asarray(work, float), np.asarray(replicated, bool)
    if spent.shape != copied.shape:
        raise ValueError(f"{len(spent)} figures of work and {len(copied)} outcomes: give one for each target")
    if not len(spent):
        return np.zeros((0, 4))
    at = np.unique([0, *spent])
    share, low, high = np.ones(len(at)), np.full(len(at), np.nan), np.full(len(at), np.nan)
    if copied.any():  # scipy knows no curve without an event
        function = stats.ecdf(stats.CensoredData.right_censored(spent, ~copied)).sf
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # where S is 0 or 1
            interval = function.confidence_interval(confidence, method="log-log")
        share = function.evaluate(at)
        low, high = interval.low.evaluate(at), interval.high.evaluate(at)
    sure = clopper_pearson(0, len(spent), confidence)[1]
    low = np.where(share == 1, 1 - sure, np.where(share == 0, 0, low))
    high = np.where(share == 1, 1, np.where(share == 0, sure, high))
    # none can return once it replicated
    return np.column_stack([at, share, low, np.minimum.accumulate(high)])


def median_work(work: Tensor | ArrayLike, replicated: Tensor | ArrayLike, confidence: float = 0.95) -> Work:
    """Median gradient evaluations to replication: the first w with S(w) <= 1/2, and so its interval.

    The interval holds every w at which the interval of S holds 1/2 (Brookmeyer and Crowley, 1982). A
    bound that the budget did not reach is None, and so is the value: more than was spent.

    >>> median_work([8, 16, 16, 40], [True, True, False, False])["value"]
    16.0
    >>> median_work([40, 40, 8], [False, False, True])["value"]
    """
    curve = survival(work, replicated, confidence)

    def first(column: int) -> float:
        below = curve[curve[:, column] <= 0.5, 0]
        return float(below[0]) if len(below) else float("nan")

    found = estimate(first(1), first(2), first(3), len(np.asarray(work)))
    return Work(**found, survival=curve.tolist())
