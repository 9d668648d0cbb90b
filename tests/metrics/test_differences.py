"""Differences of shares and their tests, against published examples, scipy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dori.metrics.differences import (
    Pairs,
    boschloo,
    difference_of_shares,
    difference_over_images,
    holm,
    mcnemar,
    newcombe,
    paired_difference,
    paired_shares,
)

# children with hyper-responsive airways before and after a transplantation (Bentur et al., 2009)
BENTUR = Pairs(both=1, first=1, second=7, neither=12)


def test_mid_p_is_that_of_fagerland_lydersen_and_laake():
    """BMC Medical Research Methodology 2013; 13: 91: 0.039, and of Cavo et al. (2012) 0.035."""
    assert mcnemar(BENTUR) == pytest.approx(0.0391, abs=5e-5)
    assert mcnemar(Pairs(59, 6, 16, 80)) == pytest.approx(0.0347, abs=5e-5)
    assert mcnemar(Pairs(3, 0, 0, 4)) == 1.0


def test_the_paired_interval_is_newcombes():
    """Fagerland, Lydersen, Laake, Statistics in Medicine 2014; 33: 2850: -0.507 to -0.026."""
    assert newcombe(BENTUR) == pytest.approx((-0.507, -0.026), abs=5e-4)


pairs = st.builds(Pairs, *[st.integers(0, 16)] * 4).filter(sum)


@given(pairs)
def test_the_interval_and_the_test_never_contradict_each_other(table):
    found = paired_difference(table)
    assert (found["low"] > 0 or found["high"] < 0) == (mcnemar(table) < 0.05)
    assert -1 <= found["low"] <= found["value"] <= found["high"] <= 1
    mirrored = paired_difference(Pairs(table.both, table.second, table.first, table.neither))
    assert (mirrored["low"], mirrored["high"]) == pytest.approx((-found["high"], -found["low"]))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_outcomes_are_counted_pair_by_pair(outcomes):
    a, b = zip(*outcomes, strict=True)
    found = paired_shares(a, b)
    assert found["value"] == pytest.approx(np.mean(a) - np.mean(b))
    wanted = [sum((x, y) == side for x, y in outcomes) for side in ((1, 1), (1, 0), (0, 1), (0, 0))]
    assert found["pairs"] == wanted


def test_where_no_pair_differs_the_interval_is_no_point():
    found = paired_shares([0] * 10, [0] * 10)
    # of none of n, Wilson's upper bound: z² / (n + z²)
    assert (found["low"], found["high"]) == pytest.approx((-3.8415 / 13.8415, 3.8415 / 13.8415), abs=1e-4)
    assert paired_shares([1, 1], [0, 0])["low"] <= 0
    with pytest.raises(ValueError, match="same prompts"):
        paired_shares([1], [1, 0])


def test_boschloo_keeps_its_level_and_tells_more_than_fisher():
    """All results of 10 and 5 targets, at every common rate: 2.5 % for a wrong 'above' at most."""
    grid = [(k, j) for k in range(11) for j in range(6)]
    above = np.array([k / 10 > j / 5 and boschloo(k, 10, j, 5) < 0.05 for k, j in grid])
    fisher = [k / 10 > j / 5 and stats.fisher_exact([[k, 10 - k], [j, 5 - j]]).pvalue < 0.05 for k, j in grid]
    for p in np.linspace(0.01, 0.99, 50):
        chances = [stats.binom.pmf(k, 10, p) * stats.binom.pmf(j, 5, p) for k, j in grid]
        assert np.dot(chances, above) <= 0.025 + 1e-9
    assert (above >= np.array(fisher)).all() and above.sum() > sum(fisher)


def test_few_controls_without_a_copy_are_enough_where_chance_is_not():
    assert difference_of_shares(7, 10, 0, 5)["low"] > 0
    assert difference_of_shares(5, 10, 0, 5)["low"] <= 0


def test_the_independent_interval_is_newcombes_of_other_limits():
    """With Wilson's limits method 10 gives 0.0524 to 0.3339 for 56/70 against 48/80 (Newcombe 1998, a)."""
    found = difference_of_shares(56, 70, 48, 80)
    assert (found["low"], found["high"]) == pytest.approx((0.0524, 0.3339), abs=0.02)
    assert found["low"] < 0.0524 and found["high"] > 0.3339  # Clopper and Pearson's are wider


def test_shares_of_the_same_images_are_compared_image_by_image():
    image = np.random.default_rng(0).random(20)
    apart, alike = image + 0.2, np.clip(image, 0, 0.8)
    found = difference_over_images(np.clip(apart, 0, 1), alike, 10, 10)
    lone = difference_over_images(np.clip(apart, 0, 1), np.random.default_rng(1).permutation(alike), 10, 10)
    assert found["high"] - found["low"] < 0.7 * (lone["high"] - lone["low"])
    same = difference_over_images([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 4, 4)
    assert same["value"] == 0 and same["high"] > 0.3  # as many images say


def test_holm_is_the_adjustment_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).random(9) ** 3
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_shares_and_the_fractional_interval_are_those_of_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    found = difference_of_shares(12, 20, 3, 18)
    wilson = proportion.confint_proportions_2indep(12, 20, 3, 18, compare="diff", method="newcomb")
    assert (found["low"], found["high"]) == pytest.approx(wilson, abs=0.06)
