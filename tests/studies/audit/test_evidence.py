"""Thresholds and lists of copies, against what simulation and brute force say of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dori.studies.audit.evidence import copies, p_values, q_values, threshold

similarities = st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=60)


@pytest.mark.parametrize(("m", "rate"), [(99, 0.01), (200, 0.01), (60, 0.05), (20, 0.01)])
def test_a_new_control_exceeds_the_threshold_as_often_as_it_says(m: int, rate: float) -> None:
    rng = np.random.default_rng(m)
    above = []
    for _ in range(4000):
        *controls, new = rng.gumbel(size=m + 1)  # any distribution will do
        above.append(new > threshold(controls, rate, "held_out", 0.7).value)
    borne = threshold(np.zeros(m), rate, "held_out", 0.7).borne
    assert borne is not None
    error = 4 * np.sqrt(borne * (1 - borne) / len(above))
    assert abs(np.mean(above) - borne) < error
    assert borne <= rate or borne == pytest.approx(1 / (m + 1))


def test_the_interval_holds_the_true_rate_in_19_of_20() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(3000):
        found = threshold(rng.uniform(size=150), 0.05, "held_out", 0.7)
        assert found.low is not None and found.high is not None
        held.append(found.low <= 1 - found.value <= found.high)
    assert abs(np.mean(held) - 0.95) < 0.016


def test_without_controls_the_published_threshold_decides_and_bears_no_rate() -> None:
    found = threshold([], 0.01, "held_out", 0.7)
    assert (found.value, found.borne, found.n, found.source) == (0.7, None, 0, "published")
    assert copies([0.71, 0.69], [], found, 0.05).tolist() == [True, False]


@given(similarities, similarities)
def test_p_values_count_the_controls(similar: list[float], controls: list[float]) -> None:
    expected = [(1 + sum(c >= s for c in controls)) / (1 + len(controls)) for s in similar]
    assert p_values(similar, controls).tolist() == pytest.approx(expected)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_q_values_give_the_list_that_the_step_up_procedure_gives(p: list[float], level: float) -> None:
    ordered = sorted(p)
    passing = [value for k, value in enumerate(ordered, 1) if value <= level * k / len(p) * (1 + 1e-12)]
    largest = max(passing, default=-1.0)
    assert [bool(q <= level * (1 + 1e-12)) for q in q_values(p)] == [value <= largest for value in p]


@given(similarities, similarities, st.floats(0.01, 0.2))
def test_a_copy_lies_above_the_threshold(similar: list[float], controls: list[float], rate: float) -> None:
    limit = threshold(controls, rate, "held_out", 0.7)
    found = copies(similar, controls, limit, 0.05)
    for value, hit in zip(similar, found, strict=True):
        assert not hit or value > limit.value
        assert hit or value <= max(controls)


def test_one_copy_among_many_is_kept_although_few_controls_can_prove_it() -> None:
    controls = np.linspace(0, 0.5, 99)
    similar = np.r_[0.95, np.linspace(0, 0.45, 1999)]
    found = copies(similar, controls, threshold(controls, 0.01, "held_out", 0.7), 0.05)
    assert found.tolist() == [True] + [False] * 1999


def test_false_ones_among_copies_stay_below_the_rate() -> None:
    rng = np.random.default_rng(7)
    false = []
    for _ in range(400):
        controls = rng.normal(size=300)
        similar = np.r_[rng.normal(size=180), rng.normal(4, 0.5, size=20)]
        found = copies(similar, controls, threshold(controls, 0.05, "held_out", 9.0), 0.1)
        false.append(found[:180].sum() / max(1, found.sum()))
    assert np.mean(false) < 0.13
