"""Recovery point, injection point, window and margin, on cases worked out by hand."""

import pytest
from scipy import stats

from dori.results.estimate import Estimate
from dori.results.injection import Counterfactual, Curve, Point, difference


def rate(hits: int, n: int = 20) -> Estimate:
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return Estimate(hits / n, interval.low, interval.high, n)


def elsewhere(hits: int, setting: str = "twin+dori", sscd: float = 0.3, before: int = 0) -> Counterfactual:
    return Counterfactual(setting, "verbatim", rate(hits), rate(before), Estimate(sscd), Estimate(0.9))


def curve(*points: tuple[float, int, tuple[Counterfactual, ...]], before: int = 2) -> Curve:
    """Points of (budget, copies of 20, counterfactuals); without the attack, ``before`` of 20 are copies."""
    found = tuple(
        Point(budget, rate(hits), rate(before), None, None, Estimate(budget), others)
        for budget, hits, others in points
    )
    return Curve("wanda", "dori", "verbatim", "epsilon", {}, found)


def budget(point: Point | None) -> float | None:
    return point.budget if point else None


def test_between_the_points_lies_the_window() -> None:
    found = curve(
        (0.1, 3, (elsewhere(0),)), (0.2, 12, (elsewhere(0),)), (0.4, 15, (elsewhere(0),)),
        (0.8, 16, (elsewhere(1),)),
    )  # fmt: skip
    assert (budget(found.recovery), budget(found.injection)) == (0.2, 0.8)
    assert [point.budget for point in found.window] == [0.2, 0.4]
    assert found.half_injected is None
    assert budget(found.widest) == 0.4  # 15 of 20 against 0, not 16 against 1


def test_where_injection_comes_first_there_is_no_window() -> None:
    found = curve((0.1, 3, (elsewhere(1),)), (0.2, 18, (elsewhere(15, sscd=0.8),)))
    assert (budget(found.recovery), budget(found.injection), budget(found.half_injected)) == (0.2, 0.1, 0.2)
    assert found.window == []


def test_a_copy_that_comes_without_the_attack_is_not_injected() -> None:
    found = curve((0.1, 18, (elsewhere(1, before=1),)), (0.2, 18, (elsewhere(2, before=1),)))
    assert budget(found.injection) == 0.2


def test_any_control_is_enough() -> None:
    control = elsewhere(1, "original+dori")
    found = curve((0.1, 18, (elsewhere(0),)), (0.2, 18, (elsewhere(0), control)))
    assert budget(found.injection) == 0.2
    assert found.points[1].injecting == [control]


def test_the_difference_on_the_same_prompts_decides_where_there_is_one() -> None:
    """6 of 20 against 2: the intervals overlap, the prompts do not."""
    apart = Point(0.1, rate(6), rate(2), None, None, None, ())
    assert not apart.recovered
    paired = Point(0.1, rate(6), rate(2), Estimate(0.2, 0.02, 0.3), Estimate(0.3, 0.1, 0.5), None,
                   (elsewhere(0),))  # fmt: skip
    assert paired.recovered
    assert paired.margin == Estimate(0.3, 0.1, 0.5)
    # the highest counterfactual is on other pictures
    control = Point(0.1, rate(6), rate(2), None, Estimate(0.3, 0.1, 0.5), None,
                    (elsewhere(0), elsewhere(3, "wanda+dori")))  # fmt: skip
    assert control.margin and control.margin.value == pytest.approx(0.15)


def test_a_difference_has_newcombes_interval() -> None:
    """His example (a) of 1998, 56 of 70 against 48 of 80, by method 10."""
    found = difference(rate(56, 70), rate(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert difference(Estimate(0.5), Estimate(0.2)) == Estimate(0.3)


def test_without_counterfactuals_nothing_is_known_of_injection() -> None:
    found = curve((0.1, 3, ()), (0.2, 18, ()))
    assert (budget(found.recovery), found.injection, found.widest) == (0.2, None, None)
