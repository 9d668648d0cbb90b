"""Removed, or only suppressed? One answer for each mitigation, over all attacks on it.

Removed only where every attack of several kinds stays within the interval of the same attack where there
is nothing to recall: in the twin, or without one, on the controls. One attack proves no removal, whatever
its budgets, least of all the one that a defense was trained against; nor do too few targets, nor targets that
the original model had not memorized.
"""

from dori.results.comparison import Comparison, comparisons
from dori.results.estimate import Estimate, differs, number
from dori.results.rows import Rows
from dori.results.verdict import CONTROLS, Verdict, cite, not_memorized

FEWEST = 2  # attacks, or budgets, that removal takes
TARGETS = 20  # at least: of so many without a single copy a share of 0.17 is still possible


def removals(rows: Rows) -> list[tuple[str, Verdict]]:
    """A verdict for every mitigation that was attacked in two ways or more, in the order of the rows."""
    attacks: dict[str, list[Comparison]] = {}
    for c in comparisons(rows):
        if c.attack and c.mitigation != "original" and c.figure(c.attacked, c.rate):
            attacks.setdefault(c.mitigation, []).append(c)
    return [(name, judged(name, found)) for name, found in attacks.items() if len(found) >= FEWEST]


def judged(mitigation: str, attacks: list[Comparison]) -> Verdict:
    """The verdict on one mitigation, from its comparisons, one per attack and budget."""
    before = attacks[0].figure("original", attacks[0].rate)
    if before and (case := not_memorized(attacks[0], before)):
        code, headline, text = case
        return Verdict(code, f"{headline}, so no verdict on {mitigation}", text)
    lacking = [c for c in attacks if counterfactual(c) is None]
    if lacking:
        text = f"{named(lacking[0])} was tried neither on a twin nor on controls."
        return Verdict("no_counterfactual", f"No verdict on {mitigation}", text)
    breaking = [c for c in attacks if breaks(c)]
    if breaking:
        worst = max(breaking, key=lambda c: rate(c).value)
        name, other = counterfactual(worst)  # type: ignore[misc]
        text = (
            f"{len(breaking)} of {len(attacks)} attacks reach more than they inject; the strongest, "
            f"{named(worst)}, {cite(rate(worst))} against {cite(other)} {name}."
        )
        return Verdict("suppressed", f"Suppressed, not removed, by {mitigation}", text)
    unclear = f"Whether {mitigation} removes is not known"
    if beyond := [c for c in attacks if not within(c)]:
        worst = max(beyond, key=lambda c: rate(c).value)
        name, other = counterfactual(worst)  # type: ignore[misc]
        text = (
            f"{named(worst)} reaches {cite(rate(worst))} against {cite(other)} {name}: too few targets to"
            " tell it from what it injects."
        )
        return Verdict("unclear", unclear, text)
    if len({(c.attack, c.params.get("start")) for c in attacks}) < FEWEST:
        text = (
            f"Only {attacks[0].attack} was tried: it stays within what it injects, at {len(attacks)} budgets."
        )
        return Verdict("unclear", unclear, text)
    told = "; ".join(f"{named(c)} {cite(rate(c))}" for c in attacks)
    most = max((rate(c).high or rate(c).value) for c in attacks)
    if (n := min(rate(c).n or 0 for c in attacks)) < TARGETS:
        text = (
            f"No attack of {len(attacks)} reaches more than it injects: {told}. But with {n} targets a share"
            f" of up to {number(most)} is not ruled out: take {TARGETS} or more."
        )
        return Verdict("unclear", unclear, text)
    text = (
        f"No attack of {len(attacks)} reaches more than it injects: {told}. A share of up to {number(most)}"
        " is not ruled out. Other attacks were not tried."
    )
    return Verdict("removed", f"Removed by {mitigation}, as far as these attacks tell", text)


def rate(c: Comparison) -> Estimate:
    found = c.figure(c.attacked, c.rate)
    assert found is not None
    return found


def counterfactual(c: Comparison) -> tuple[str, Estimate] | None:
    """The rate of the same attack where there is nothing to recall, and where that is."""
    if twin := c.figure(c.attacked_twin, c.rate):
        return "in the twin", twin
    figures = [(f"on {kind} controls", c.figure(c.attacked, c.rate, kind)) for kind in CONTROLS]
    known = [(name, figure) for name, figure in figures if figure is not None]
    return max(known, key=lambda pair: pair[1].value, default=None)


def breaks(c: Comparison) -> bool:
    """Whether the attack reaches more than its counterfactual, on the same prompts where it can be told."""
    found = counterfactual(c)
    assert found is not None
    over_twin = c.figure(c.attacked, f"{c.rate}_over_twin")
    return differs(rate(c), found[1], over_twin)


def within(c: Comparison) -> bool:
    """Whether the rate lies within the interval of its counterfactual."""
    found = counterfactual(c)
    assert found is not None
    _, other = found
    return rate(c).value <= (other.value if other.high is None else other.high)


def named(c: Comparison) -> str:
    """``dori (start gaussian, 200 steps)``."""
    start, steps, epsilon = (c.params.get(key) for key in ("start", "steps", "epsilon"))
    told = [f"start {start}"] if start else []
    told += [f"{steps} steps"] if steps is not None else []
    told += [f"epsilon {epsilon}"] if epsilon is not None else []
    return f"{c.attack} ({', '.join(told)})" if told else c.attack
