"""Where memory comes back and where an attack begins to inject: the same attack at several budgets.

*Recovery point*: the smallest budget from which on, up to the largest, the memorized images' MR lies above
that without the attack. *Injection point*: the smallest budget at which the attack makes more than a few
copies where there is nothing to recall, that is, at which the MR of the twin or of attacked controls exceeds
that without the attack by a rate fixed beforehand. *Not injected* is what lies before it only where, from the
smallest budget on, the intervals of all counterfactuals stay below the margin. *Margin*: how far the
memorized images' MR lies above the highest counterfactual at the same budget.

Budgets are asked in an order that is fixed beforehand, and no further than the first no, so that several of
them need no correction (a fixed sequence; Maurer, Hothorn, Lehmacher 1995). The largest margin is chosen by
the data; its bound is one that holds for all budgets at once (Bonferroni).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

from dori.results.figures.grid import THRESHOLD
from dori.results.reading.answers import ABOVE, UNDECIDED, WITHIN, Answer, answer, apart, paired
from dori.results.reading.comparison import split
from dori.results.reading.estimate import Estimate
from dori.results.reading.margins import Margins


@dataclass(frozen=True)
class Counterfactual:
    """The attack where there is nothing to recall: ``setting`` and kind of target, and what it reached.

    ``before``: without the attack; ``change``: how much more it reached than that, on the same targets.
    """

    setting: str
    kind: str
    rate: Estimate
    before: Estimate | None
    change: Estimate
    similarity: Estimate | None
    displacement: Estimate | None

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
    margins: Margins = field(default_factory=Margins)

    @property
    def recovered(self) -> Answer:
        """Whether more comes back than without the attack."""
        change = self.change or (apart(self.rate, self.before) if self.before else None)
        return answer(change, self.margins.rate)

    @property
    def injecting(self) -> list[Counterfactual]:
        """Where the attack makes copies although there is nothing to recall."""
        return [each for each in self.counterfactuals if each.change.value > self.margins.control]

    @property
    def clean(self) -> bool:
        """Whether injection is ruled out, up to the margin, wherever it was looked for."""
        rate = self.margins.rate
        low = [each.change.high is not None and each.change.high < rate for each in self.counterfactuals]
        return bool(low) and all(low)

    @property
    def margin(self) -> Estimate | None:
        """How far the rate lies above the highest counterfactual."""
        return self.margin_at(0.95)

    def margin_at(self, confidence: float) -> Estimate | None:
        """MR above that of the highest counterfactual; on the same prompts where that is the twin."""
        highest = max(self.counterfactuals, key=lambda each: each.rate.value, default=None)
        if highest is None:
            return None
        if split(highest.setting)[0] == "twin" and self.over_twin:
            return paired(self.over_twin, confidence)
        return apart(self.rate, highest.rate, confidence)


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
    def recovering(self) -> list[Point]:
        """The budgets at which memorized images come back: asked from the largest down, to the first no."""
        return _while(self.points[::-1], lambda point: point.recovered == ABOVE)[::-1]

    @property
    def recovery(self) -> Point | None:
        """The smallest budget of recovery."""
        return next(iter(self.recovering), None)

    @cached_property
    def injection(self) -> Point | None:
        """The smallest budget of injection."""
        return next((point for point in self.points if point.injecting), None)

    @cached_property
    def half_injected(self) -> Point | None:
        """The smallest budget at which half the targets of a counterfactual are copies."""
        return next((p for p in self.points if any(each.half for each in p.counterfactuals)), None)

    @property
    def window(self) -> list[Point]:
        """The budgets at which memorized images come back and nothing is injected."""
        clean = _while(self.points, lambda point: point.clean)
        return [point for point in self.recovering if point in clean]

    @property
    def answer(self) -> Answer:
        """Whether any budget brings memorized images back."""
        if self.recovering:
            return ABOVE
        return WITHIN if all(point.recovered == WITHIN for point in self.points) else UNDECIDED

    @property
    def surest(self) -> tuple[Point, float] | None:
        """Where the margin is largest for certain, and its lower bound that holds for all budgets at once."""
        confidence = 1 - 0.05 / len(self.points)
        known = [(point, found.low) for point in self.points if (found := point.margin_at(confidence))]
        bounds = [(point, low) for point, low in known if low is not None]
        return max(bounds, key=lambda each: each[1], default=None)


def _while(points: Sequence[Point], holds: Callable[[Point], bool]) -> list[Point]:
    return list(takewhile(holds, points))
