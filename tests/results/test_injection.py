"""Recovery point, injection point, window and margin, on cases worked out by hand."""

import pytest

from dori.metrics.intervals import share
from dori.results.budget.injection import Counterfactual, Curve, Point
from dori.results.reading.answers import apart
from dori.results.reading.estimate import Estimate
from tests.made_up import paired

N = 48


def rate(hits: int, n: int = N) -> Estimate:
    found = share(hits, n)
    return Estimate(hits / n, found["low"], found["high"], n)


def more(hits: int, other: int, n: int = N) -> Estimate:
    found = paired(hits, other, n)
    return Estimate(found["value"], found["low"], found["high"], n, pairs=tuple(found["pairs"]))


def elsewhere(
    hits: int, setting: str = "twin+dori", sscd: float = 0.3, before: int = 0, n: int = N
) -> Counterfactual:
    change = more(hits, before, n)
    return Counterfactual(
        setting, "verbatim", rate(hits, n), rate(before, n), change, Estimate(sscd), Estimate(0.9)
    )


def curve(*points: tuple[float, int, tuple[Counterfactual, ...]], before: int = 5) -> Curve:
    """Points of (budget, copies of 48, counterfactuals); without the attack, ``before`` of 48 are copies."""
    found = tuple(
        Point(budget, rate(hits), rate(before), more(hits, before), None, Estimate(budget), others)
        for budget, hits, others in points
    )
    return Curve("wanda", "dori", "verbatim", "epsilon", {}, found)


def budget(point: Point | None) -> float | None:
    return point.budget if point else None


def test_between_the_points_lies_the_window() -> None:
    found = curve(
        (0.1, 7, (elsewhere(0),)), (0.2, 28, (elsewhere(0),)), (0.4, 36, (elsewhere(1),)),
        (0.8, 38, (elsewhere(5),)),
    )  # fmt: skip
    assert (budget(found.recovery), budget(found.injection)) == (0.2, 0.8)
    assert [point.budget for point in found.window] == [0.2, 0.4]
    assert (found.half_injected, found.answer) == (None, "above")


def test_a_few_targets_without_a_copy_rule_no_injection_out() -> None:
    """0 of 16 may be 0.21."""
    found = curve((0.2, 28, (elsewhere(0), elsewhere(0, "wanda+dori", n=16))))
    assert found.injection is None and found.window == []


def test_where_injection_comes_first_there_is_no_window() -> None:
    found = curve((0.1, 7, (elsewhere(3),)), (0.2, 44, (elsewhere(36, sscd=0.8),)))
    assert (budget(found.recovery), budget(found.injection), budget(found.half_injected)) == (0.2, 0.1, 0.2)
    assert found.window == []


def test_one_copy_of_many_controls_is_no_injection_point() -> None:
    """It would come the earlier, the more controls there are."""
    found = curve((0.1, 44, (elsewhere(1), elsewhere(2, "original+dori"))), (0.2, 44, (elsewhere(3),)))
    assert budget(found.injection) == 0.2
    assert found.points[0].injecting == []


def test_a_copy_that_comes_without_the_attack_is_not_injected() -> None:
    found = curve((0.1, 44, (elsewhere(6, before=6),)), (0.2, 44, (elsewhere(12, before=6),)))
    assert budget(found.injection) == 0.2


def test_a_rise_at_one_budget_that_the_larger_ones_do_not_bear_out_is_no_recovery() -> None:
    """Six budgets are six chances: they are asked from the largest down, to the first no."""
    found = curve((0.1, 14, ()), (0.2, 6, ()), (0.4, 6, ()))
    assert found.points[0].recovered == "above"
    assert found.recovery is None and found.answer == "undecided"


def test_no_budget_brings_anything_back_only_where_all_are_told_from_the_margin() -> None:
    assert curve((0.1, 5, ()), (0.2, 6, ())).answer == "within"
    assert curve((0.1, 5, ()), (0.2, 9, ())).answer == "undecided"


def test_the_margin_is_on_the_same_prompts_where_the_highest_is_the_twin() -> None:
    twin = Point(0.1, rate(20), rate(5), None, more(20, 6), None, (elsewhere(6), elsewhere(1, "wanda+dori")))
    assert twin.margin and twin.margin.pairs == (6, 14, 0, 28)
    control = Point(
        0.1, rate(20), rate(5), None, more(20, 1), None, (elsewhere(1), elsewhere(6, "wanda+dori"))
    )
    assert control.margin == apart(rate(20), rate(6))


def test_the_largest_margin_is_bounded_for_all_budgets_at_once() -> None:
    others = (elsewhere(0, "wanda+dori"),)
    found = curve((0.1, 20, others), (0.2, 30, others), (0.4, 25, others))
    point, low = found.surest or (None, 0.0)
    assert budget(point) == 0.2
    assert low == apart(rate(30), rate(0), 1 - 0.05 / 3).low
    assert low < (apart(rate(30), rate(0)).low or 0)


def test_without_counterfactuals_nothing_is_known_of_injection() -> None:
    found = curve((0.1, 7, ()), (0.2, 44, ()))
    assert (budget(found.recovery), found.injection, found.surest, found.window) == (0.2, None, None, [])


@pytest.mark.parametrize("hits", [0, 1, 40])
def test_one_budget_alone_is_its_own_window(hits: int) -> None:
    found = curve((0.1, 44, (elsewhere(hits),)))
    assert bool(found.window) == (hits < 3)
