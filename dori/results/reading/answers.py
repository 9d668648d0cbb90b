"""The three answers to whether one figure lies above another: from one interval and a margin.

*Above*: the whole interval of the difference lies above zero. *Within* the margin: all of it lies below the
margin, so that whatever is there is less than what was fixed beforehand to matter (non-inferiority;
Schuirmann 1987). Else *undecided*: that nothing was seen is no sign that nothing is there. Each error is at
most 2.5 %.
"""

from dataclasses import replace
from typing import Literal

from scipy import stats

from dori.metrics.differences import (
    Pairs,
    boschloo,
    difference_of_shares,
    mcnemar,
    paired_difference,
)
from dori.results.reading.estimate import Estimate

Answer = Literal["above", "within", "undecided"]
ABOVE: Answer = "above"
WITHIN: Answer = "within"
UNDECIDED: Answer = "undecided"


def answer(difference: Estimate | None, margin: float) -> Answer:
    """Whether something lies above something else, by their difference. Where both hold, it is above.

    Fewer pairs than tell no difference from the margin do not show one that is within it.
    """
    if difference is None or difference.low is None or difference.high is None:
        return UNDECIDED
    if difference.low > 0:
        return ABOVE
    if difference.pairs and sum(difference.pairs) < needed(margin) and difference.high > 0:
        return UNDECIDED  # of so few that vary alike, Newcombe's upper bound may be short
    return WITHIN if difference.high < margin else UNDECIDED


def paired(difference: Estimate | None, confidence: float = 0.95) -> Estimate | None:
    """A row's difference on the same prompts, at a confidence, with the p-value of its test."""
    if difference is None or difference.pairs is None:
        return difference
    pairs = Pairs(*difference.pairs)
    found = paired_difference(pairs, confidence)
    return replace(difference, low=found["low"], high=found["high"], p=mcnemar(pairs))


def apart(one: Estimate, other: Estimate, confidence: float = 0.95) -> Estimate:
    """``one`` less ``other``, shares of other prompts; a share without its n is a bound, and has no error."""
    if not one.n or not other.n:
        low, high = (None if end is None else end - other.value for end in (one.low, one.high))
        return Estimate(one.value - other.value, low, high, one.n)
    counts = (one.count, one.n, other.count, other.n)
    found = difference_of_shares(*counts, confidence)
    return Estimate(one.value - other.value, found["low"], found["high"], found["n"], p=boschloo(*counts))


def turned(difference: Estimate | None) -> Estimate | None:
    """How much higher the other one is."""
    if difference is None:
        return None
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    table = difference.pairs and (difference.pairs[0], *difference.pairs[2:0:-1], difference.pairs[3])
    return replace(difference, value=-difference.value, low=low, high=high, pairs=table)


def needed(margin: float) -> int:
    """The fewest prompts at which a difference of none can be told from ``margin``: n > z² (1/margin - 1).

    Newcombe's upper bound is then Wilson's of none of n, z² / (n + z²).

    >>> needed(0.15), needed(0.1), needed(0.05)
    (22, 35, 73)
    """
    z = float(stats.norm.ppf(0.975))
    return int(z * z * (1 / margin - 1)) + 1
