"""Removed, or only suppressed? One answer for each mitigation, over all attacks on it.

*Suppressed* where any attack reaches more than the same attack where there is nothing to recall: in the twin,
or without one, on the controls. One of many would do so by chance, so the p-values are Holm's.

*Removed* only where every attack of several kinds stays within a margin of what it reaches there (each must,
so that no correction is needed). That no copy was seen is no removal; nor does one attack prove it, whatever
its budgets, least of all the one that a defense was trained against; nor do too few targets, nor targets that
the original model had not memorized.
"""

from dataclasses import dataclass, replace

from dori.metrics.differences import holm
from dori.results.reading.answers import ABOVE, WITHIN, answer, needed
from dori.results.reading.comparison import Comparison, comparisons
from dori.results.reading.estimate import Estimate, number, with_interval
from dori.results.reading.rows import Rows
from dori.results.verdicts.memory import counterfactuals, not_memorized
from dori.results.verdicts.questions import Question, Verdict, asked

FEWEST = 2  # attacks, or budgets, that removal takes
KIND = ("space", "search", "objective", "start")  # what makes an attack another kind; budgets do not


@dataclass(frozen=True)
class Attempt:
    """One attack at one budget: its rate, and how much more that is than where there is nothing to recall."""

    c: Comparison
    rate: Estimate
    where: str
    more: Estimate

    @property
    def name(self) -> str:
        """``dori (start gaussian, 200 steps)``."""
        start, steps, epsilon = (self.c.params.get(key) for key in ("start", "steps", "epsilon"))
        told = [f"start {start}"] if start else []
        told += [f"{steps} steps"] if steps is not None else []
        told += [f"epsilon {epsilon}"] if epsilon is not None else []
        return f"{self.c.attack} ({', '.join(told)})" if told else self.c.attack

    @property
    def kind(self) -> tuple[str, ...]:
        """What it does, whatever it is called and may spend."""
        known = tuple(str(self.c.params[key]) for key in KIND if self.c.params.get(key) is not None)
        return known or (self.c.attack,)


def removals(rows: Rows) -> list[tuple[str, Verdict]]:
    """A verdict for every mitigation that was attacked in two ways or more, in the order of the rows."""
    attacks: dict[str, list[Comparison]] = {}
    for c in comparisons(rows):
        if c.attack and c.mitigation != "original" and c.figure(c.attacked, c.rate):
            attacks.setdefault(c.mitigation, []).append(c)
    return [(name, judged(name, found)) for name, found in attacks.items() if len(found) >= FEWEST]


def judged(mitigation: str, attacks: list[Comparison]) -> Verdict:
    """The verdict on one mitigation, from its comparisons, one per attack and budget."""
    if case := not_memorized(attacks[0]):
        return replace(case, headline=f"{case.headline}, so no verdict on {mitigation}", notes=())
    tried = [attempt(c) for c in attacks]
    found = [each for each in tried if each]
    if len(found) < len(tried):
        alone = attacks[tried.index(None)].attack
        text = f"{alone} was tried neither on a twin nor on controls."
        return Verdict("no_counterfactual", f"No verdict on {mitigation}", text)
    margin = attacks[0].margins.rate
    adjusted = holm([1.0 if each.more.p is None else each.more.p for each in found])
    breaking = [each for each, p in zip(found, adjusted, strict=True) if p < 0.05 and each.more.value > 0]
    figures = asked([Question(f"{e.name} above {e.where}", e.rate, e.more, margin) for e in found])
    if breaking:
        worst = max(breaking, key=lambda each: each.more.value)
        text = (
            f"{len(breaking)} of {len(found)} attacks reach more than they inject (Holm), the strongest "
            f"{worst.name}, by {with_interval(worst.more)}."
        )
        return Verdict("suppressed", f"Suppressed, not removed, by {mitigation}", text, figures=figures)
    headline = f"Undecided whether {mitigation} removes"
    if lacking := _lacking(found, margin):
        return Verdict("unclear", headline, lacking, figures=figures)
    most = max(each.more.high or 0 for each in found)
    text = (
        f"Each of {len(found)} attacks reaches at most {number(most)} more than it injects, less than"
        f" {margin:g}. Other attacks were not tried."
    )
    return Verdict("removed", f"Removed by {mitigation}, as far as these attacks tell", text, figures=figures)


def attempt(c: Comparison) -> Attempt | None:
    """What an attack reached beside the twin, or without one, beside the controls where it reached most."""
    rate = c.figure(c.attacked, c.rate)
    assert rate is not None
    known = counterfactuals(c, rate)
    beside = [each for each in known if each[0] == "the twin"] or sorted(
        known, key=lambda each: each[1].value
    )
    return Attempt(c, rate, beside[-1][0], beside[-1][2]) if beside else None


def _lacking(found: list[Attempt], margin: float) -> str | None:
    """What keeps attacks that bring nothing back from being evidence of removal; None where nothing does."""
    fewest, enough = min(each.rate.n or 0 for each in found), needed(margin)
    beyond = [each for each in found if answer(each.more, margin) != WITHIN]
    if beyond and fewest < enough:
        return (
            f"With {fewest} targets no result can rule out that {margin:g} come back: take {enough} or more."
        )
    if beyond:
        worst = max(beyond, key=lambda each: each.more.value)
        over = "but not once the others are counted" if answer(worst.more, margin) == ABOVE else "undecided"
        return f"{worst.name} reaches {with_interval(worst.more)} more than {worst.where}: {over}."
    if len({each.kind for each in found}) < FEWEST:
        return f"Only one kind of attack was tried, {found[0].c.attack}, in {len(found)} ways."
    return None
