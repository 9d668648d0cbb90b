"""The three answers, and the thresholds that they are given for."""

from dataclasses import asdict

import pytest

from dori.core.config import build
from dori.core.errors import InputError
from dori.core.settings import settings
from dori.metrics.differences import Pairs, paired_difference
from dori.results.reading.answers import answer, apart, needed, paired, turned
from dori.results.reading.estimate import Estimate
from dori.results.reading.margins import Margins
from tests.tiny import composed


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0.01, 0.5, "above"), (0.0, 0.5, "undecided"), (-0.1, 0.149, "within"), (-0.1, 0.15, "undecided"),
    (-0.5, -0.1, "within"), (0.01, 0.1, "above"), (None, None, "undecided"),
])  # fmt: skip
def test_one_interval_and_a_margin_give_the_answer(low, high, expected):
    assert answer(Estimate(0.0, low, high, 10), 0.15) == expected
    assert answer(None, 0.15) == "undecided"


def row_difference(*counts):
    found = paired_difference(Pairs(*counts))
    return Estimate(found["value"], found["low"], found["high"], found["n"], pairs=counts)


def test_a_difference_turned_is_that_of_the_pairs_turned():
    one, other = row_difference(3, 9, 1, 7), row_difference(3, 1, 9, 7)
    back = turned(one)
    assert (back.value, back.low, back.high) == pytest.approx((other.value, other.low, other.high))
    assert paired(back) == paired(other)
    assert turned(None) is None


def test_pairs_give_any_confidence():
    one = row_difference(3, 9, 1, 7)
    assert paired(one, 0.99).low < paired(one).low == one.low
    assert paired(one).p == pytest.approx(2 * (11 / 1024 - 10 / 2048))  # 9 of 10 that differ
    assert paired(Estimate(0.1, 0.0, 0.2)) == Estimate(0.1, 0.0, 0.2)


def test_a_bound_has_no_error_of_its_own():
    found = apart(Estimate(0.5, 0.3, 0.7, 20), Estimate(0.05))
    assert (found.value, found.low, found.high) == pytest.approx((0.45, 0.25, 0.65))


def test_pairs_that_are_too_few_for_the_margin_show_nothing_within_it():
    """Of 12 that vary alike the upper bound may be 0.14; below none at all, there is nothing to bound."""
    few = Estimate(0.0, -0.14, 0.14, 12, pairs=(8, 0, 0, 4))
    assert answer(few, 0.15) == "undecided"
    assert answer(Estimate(0.0, -0.14, 0.14, 24, pairs=(16, 0, 0, 8)), 0.15) == "within"
    assert answer(row_difference(3, 0, 8, 1), 0.15) == "within"


@pytest.mark.parametrize("margin", [0.05, 0.1, 0.15, 0.3])
def test_the_n_that_a_margin_needs_is_the_smallest_that_tells(margin):
    n = needed(margin)
    assert (
        paired_difference(Pairs(0, 0, 0, n))["high"]
        < margin
        <= paired_difference(Pairs(0, 0, 0, n - 1))["high"]
    )


def test_the_configuration_states_the_defaults_and_rows_tell_them():
    margins = build(composed("data.targets=2").margins)
    assert margins == Margins() == Margins.of({})
    assert Margins.of({"margins.rate": 0.1, "steps": 50}).rate == 0.1
    told = settings(composed("data.targets=2").margins, "margins")
    assert {f"margins.{name}" for name in asdict(margins)} <= set(told) and Margins.of(told) == margins


@pytest.mark.parametrize(("name", "value"), [("rate", 0), ("rate", 1.5), ("fid", 1.0), ("width", -0.1)])
def test_a_threshold_that_is_none_is_refused(name, value):
    with pytest.raises(InputError, match=f"margins.{name} must be above"):
        Margins(**{name: value})
