"""Kaplan and Meier's estimate against a textbook, and what holds whatever the numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dori.metrics.work import median_work, survival, work_of_restarts

# weeks to relapse under 6-MP, with 1 for a relapse: Freireich et al. 1963, in most textbooks of survival
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSE = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
TEXTBOOK = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}

TARGETS = st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=1, max_size=30)


def test_the_textbooks_example() -> None:
    curve = {work: (share, low, high) for work, share, low, high in survival(WEEKS, RELAPSE)}
    assert {week: round(curve[week][0], 3) for week in TEXTBOOK} == TEXTBOOK
    assert curve[35][0] == curve[23][0]
    # R's survfit with conf.type="log-log"
    assert curve[10][1:] == pytest.approx((0.503, 0.889), abs=5e-4)
    median = median_work(WEEKS, RELAPSE)
    assert (median["value"], median["low"], median["high"], median["n"]) == (23, 13, None, 21)


def test_without_a_copy_nothing_is_known_but_that_it_takes_more() -> None:
    median = median_work([400] * 30, [False] * 30)
    assert (median["value"], median["low"], median["high"], median["n"]) == (None, None, None, 30)
    (start, end) = median["survival"]
    assert start[:2] == [0, 1] and end[:2] == [400, 1]
    # none of 30: as for any share
    assert end[2] == pytest.approx(1 - stats.binomtest(0, 30).proportion_ci(method="exact").high)


def test_what_replicates_without_any_attack_takes_no_work() -> None:
    median = median_work([0] * 30, [True] * 30)
    assert (median["value"], median["low"], median["high"]) == (0, 0, 0)
    assert [row[:3] for row in median["survival"]] == [[0, 0, 0]]


def test_of_no_target_nothing_is_known() -> None:
    assert median_work([], []) == {"value": None, "low": None, "high": None, "n": 0, "survival": []}


@given(TARGETS, st.randoms())
def test_a_curve_falls_within_its_interval_whatever_the_order(
    targets: list[tuple[int, bool]], random: object
) -> None:
    work, copied = zip(*targets, strict=True)
    at, share, low, high = survival(work, copied).T
    assert at[0] == 0 and (np.diff(at) > 0).all() and (np.diff(share) <= 0).all()
    assert (low >= 0).all() and (low <= share).all() and (share <= high).all() and (high <= 1).all()
    random.shuffle(targets)  # type: ignore[attr-defined]
    assert np.array_equal(survival(*zip(*targets, strict=True)), np.array([at, share, low, high]).T)
    found = median_work(work, copied)
    bounds = [np.inf if found[key] is None else found[key] for key in ("low", "value", "high")]
    assert bounds == sorted(bounds)


@given(TARGETS)
def test_without_censoring_it_is_the_share_that_is_left(targets: list[tuple[int, bool]]) -> None:
    work = np.array([work for work, _ in targets])
    curve = survival(work, [True] * len(work))
    expected = [(work > at).mean() for at in curve[:, 0]]
    np.testing.assert_allclose(curve[:, 1], expected, atol=1e-12)


def test_restarts_are_tried_one_after_the_other() -> None:
    reached = torch.tensor([[-1, 0, 5], [20, -1, -1], [-1, -1, -1]])
    work, copied = work_of_restarts(reached, steps=50, pairs=2)
    assert work.tolist() == [100, 40, 300]
    assert copied.tolist() == [True, True, False]


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 figures of work and 1 outcomes"):
        survival([1, 2], [True])
