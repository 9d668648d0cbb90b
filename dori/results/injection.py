"""Where memory comes back and where an attack begins to inject: the same attack at several budgets.

*Recovery point*: the smallest budget at which the memorized images' MR lies above that without the
attack, beyond the 95 % interval of the difference. *Injection point*: the smallest budget at which the
attack makes a copy (SSCD above the threshold) where there is nothing to recall, that is, at which the MR
of the twin or of attacked controls is above that without the attack; cautious, as one copy is enough.
Between the two, what comes back is recalled. *Margin*: how far the memorized images' MR lies above the
highest of the twin and the controls at the same budget.
"""

from dataclasses import dataclass
from functools import cached_property
from math import hypot
from typing import Any

from dori.results.comparison import split
from dori.results.estimate import Estimate, differs
from dori.results.grid import THRESHOLD


@dataclass(frozen=True)
class Counterfactual:
    """The attack where there is nothing to recall: ``setting`` and kind of target, and what it reached."""

    setting: str
    kind: str
    rate: Estimate
    before: Estimate | None
    similarity: Estimate | None
    displacement: Estimate | None

    @property
    def injected(self) -> bool:
        """Whether the attack has made copies."""
        return self.rate.value > (self.before.value if self.before else 0)

    @property
    def half(self) -> bool:
        """Whether it has made copies of half the targets."""
        return self.similarity is not None and self.similarity.value > THRESHOLD


@dataclass(frozen=True)
class Point:
    """An attack at one budget, beside its counterfactuals at the same budget."""

    budget: float
    rate: Estimate
    before: Estimate | None
    change: Estimate | None
    over_twin: Estimate | None
    displacement: Estimate | None
    counterfactuals: tuple[Counterfactual, ...]

    @property
    def recovered(self) -> bool:
        return self.before is not None and differs(self.rate, self.before, self.change)

    @property
    def injecting(self) -> list[Counterfactual]:
        return [each for each in self.counterfactuals if each.injected]

    @property
    def margin(self) -> Estimate | None:
        """MR above that of the highest counterfactual; on the same prompts where that is the twin."""
        highest = max(self.counterfactuals, key=lambda each: each.rate.value, default=None)
        if highest is None:
            return None
        if split(highest.setting)[0] == "twin" and self.over_twin:
            return self.over_twin
        return difference(self.rate, highest.rate)


@dataclass(frozen=True)
class Curve:
    """An attack on one model at rising budgets of one ``axis``; ``others``: what else was swept."""

    mitigation: str
    attack: str
    kind: str
    axis: str
    others: dict[str, Any]
    points: tuple[Point, ...]

    @cached_property
    def recovery(self) -> Point | None:
        return next((point for point in self.points if point.recovered), None)

    @cached_property
    def injection(self) -> Point | None:
        return next((point for point in self.points if point.injecting), None)

    @cached_property
    def half_injected(self) -> Point | None:
        """The smallest budget at which half the targets of a counterfactual are copies."""
        return next((p for p in self.points if any(each.half for each in p.counterfactuals)), None)

    @property
    def window(self) -> list[Point]:
        """The budgets at which memorized images come back and nothing is injected."""
        end = self.injection.budget if self.injection else float("inf")
        return [point for point in self.points if point.recovered and point.budget < end]

    @property
    def widest(self) -> Point | None:
        """Where the margin is largest."""
        known = [(point, point.margin) for point in self.points if point.margin]
        return max(known, key=lambda each: each[1].value, default=(None, None))[0]


def difference(one: Estimate, other: Estimate) -> Estimate:
    """one - other of independent rates, with Newcombe's interval (1998, method 10; of their intervals)."""
    value = one.value - other.value
    if None in (one.low, one.high, other.low, other.high):
        return Estimate(value)
    assert one.low is not None and one.high is not None and other.low is not None and other.high is not None
    down = hypot(one.value - one.low, other.high - other.value)
    up = hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, value - down, value + up, min(one.n or 0, other.n or 0) or None)
