"""Estimates and their intervals."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dori.metrics.intervals import clopper_pearson, estimate, mean_estimate, mean_of_shares
from dori.metrics.quantiles import median_estimate, percentile_estimate

similarities = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20)


def test_clopper_pearson_is_the_tabulated_interval():
    # Newcombe (1998), table I: 15 of 148
    assert clopper_pearson(15, 148) == pytest.approx((0.0578, 0.1617), abs=5e-5)
    # at the ends it has a closed form: 1 - (a/2)^(1/n)
    assert clopper_pearson(0, 48) == pytest.approx((0.0, 1 - 0.025 ** (1 / 48)))
    assert clopper_pearson(48, 48) == pytest.approx((0.025 ** (1 / 48), 1.0))


@given(st.integers(1, 200), st.data(), st.floats(0.5, 0.99))
def test_clopper_pearson_contains_the_share_and_mirrors(n, data, confidence):
    k = data.draw(st.integers(0, n))
    low, high = clopper_pearson(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1
    assert (low == 0) == (k == 0) and (high == 1) == (k == n)
    assert clopper_pearson(n - k, n, confidence) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("k, n", [(3, 2), (-1, 2), (0, 0)])
def test_clopper_pearson_refuses_what_is_no_share(k, n):
    with pytest.raises(ValueError, match=f"{k} successes of {n}"):
        clopper_pearson(k, n)


def test_confidence_in_percent_is_refused():
    for call in (lambda: clopper_pearson(1, 2, 95), lambda: mean_estimate([1, 2], 95)):
        with pytest.raises(ValueError, match=r"95 .* give 0.95"):
            call()


@settings(max_examples=10, deadline=None)
@given(similarities, st.randoms())
def test_a_median_is_bounded_by_the_data_and_ignores_their_order(values, random):
    first = median_estimate(values, seed=3)
    assert median_estimate(random.sample(values, len(values)), seed=3) == first
    assert first["value"] == np.median(values) and first["n"] == len(values)
    if len(values) < 5:
        assert first["low"] is first["high"] is None
    else:
        assert min(values) <= first["low"] <= first["high"] <= max(values)


def test_few_or_equal_values_have_no_interval():
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    for of in (mean_estimate, lambda x: percentile_estimate(x, 0.95)):
        assert of([]) == nothing
        assert of([0.3]) == {"value": 0.3, "low": None, "high": None, "n": 1}
    assert mean_estimate([0.1] * 7) == {"value": pytest.approx(0.1), "low": None, "high": None, "n": 7}
    assert median_estimate([]) == {**nothing, "mad": None}


def test_a_mean_has_students_interval():
    """Student (1908): the hours of sleep gained by ten patients with the second drug less the first."""
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = mean_estimate(gained)
    assert found["value"] == pytest.approx(1.58)
    assert (found["low"], found["high"]) == pytest.approx((0.70, 2.46), abs=0.005)


def test_a_95th_percentile_takes_72_values():
    values = np.random.default_rng(0).permutation(200)
    found = percentile_estimate(values, 0.95)
    # the ranks between which a 95th percentile of 200 lies, by the binomial distribution
    ranks = stats.binom.ppf([0.025, 0.975], 200, 0.95)
    assert (found["low"], found["high"]) == pytest.approx(tuple(ranks), abs=2)
    assert percentile_estimate(range(71), 0.95) == {
        "value": pytest.approx(66.5), "low": None, "high": None, "n": 71,
    }  # fmt: skip


def test_a_mean_of_shares_is_clopper_and_pearsons_where_nothing_is_known_of_the_spread():
    """Of images that all agree, and of one trial each, which is a rate."""
    for hits in (0, 3):
        found = mean_of_shares([hits / 3] * 5, trials=3)
        assert (found["low"], found["high"]) == pytest.approx(clopper_pearson(5 * hits // 3, 5))
    rate = mean_of_shares([1, 0, 0, 1, 1, 0, 0, 0, 0, 0], trials=1)
    assert (rate["low"], rate["high"]) == pytest.approx(clopper_pearson(3, 10), abs=0.025)


def test_a_mean_of_shares_counts_what_the_images_have_in_common():
    """Triggers that fail or not with their image say no more than the images; alike ones say it all."""
    clustered = mean_of_shares([1, 1, 0, 0, 1, 0], trials=10)
    assert 0 < clustered["low"] < clopper_pearson(3, 6)[0] < clopper_pearson(3, 6)[1] < clustered["high"] < 1
    spread = mean_of_shares([0.5, 0.4, 0.6, 0.5, 0.5, 0.4, 0.6, 0.5], trials=10)
    assert (spread["low"], spread["high"]) == pytest.approx(clopper_pearson(40, 80), abs=1e-9)


def test_a_mean_of_shares_is_korn_and_graubards():
    """Survey Methodology 1998; 24: 193: n_e = p(1-p)/var(p) · (t(nm-1) / t(n-1))², here by statsmodels."""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    x = np.array([0.0, 0.5, 0.25, 1.0, 0.75, 0.5, 0.25, 0.0])
    p = x.mean()
    effective = p * (1 - p) / (x.var(ddof=1) / 8) * (stats.t.ppf(0.975, 31) / stats.t.ppf(0.975, 7)) ** 2
    found = mean_of_shares(x, trials=4)
    wanted = proportion.proportion_confint(p * effective, effective, method="beta")
    assert (found["low"], found["high"]) == pytest.approx(wanted)


def test_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"shares from 0\.5 to 2"):
        mean_of_shares([0.5, 2.0], trials=3)


def test_seeds_reproduce_and_do_not_touch_the_global_state():
    values = torch.linspace(0, 1, 9)
    state = np.random.get_state()[1].copy()
    assert median_estimate(values, 1) == median_estimate(values, 1)
    assert (np.random.get_state()[1] == state).all()


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 of 3 values are not finite, the first at index 1"):
        mean_estimate([0.1, float("nan"), 0.2])
    assert json.dumps(estimate(float("nan"), 0, 1, 3)) == ('{"value": null, "low": 0.0, "high": 1.0, "n": 3}')


def test_median_and_its_absolute_deviation_by_hand():
    got = median_estimate(torch.tensor([0.0, 0.25, 0.5, 1.0, 0.75]))
    assert (got["value"], got["mad"], got["n"]) == (0.5, 0.25, 5)
