"""Estimates and their intervals."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dori.metrics.intervals import (
    bootstrap,
    clopper_pearson,
    estimate,
    median_estimate,
    paired_bootstrap,
    paired_shares,
)

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
    for call in (lambda: clopper_pearson(1, 2, 95), lambda: bootstrap([1, 2], np.mean, 0, 95)):
        with pytest.raises(ValueError, match=r"95 .* give 0.95"):
            call()


@settings(max_examples=20, deadline=None)
@given(similarities, st.randoms())
def test_bootstrap_is_bounded_by_the_data_and_ignores_their_order(values, random):
    first = bootstrap(values, np.median, seed=3, resamples=200)
    shuffled = random.sample(values, len(values))
    assert bootstrap(shuffled, np.median, seed=3, resamples=200) == first
    assert min(values) <= first["low"] <= first["high"] <= max(values)
    assert first["value"] == np.median(values) and first["n"] == len(values)


def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(0).normal(2, 1, 400)
    got = bootstrap(values, np.mean, seed=0)
    half = 1.96 * values.std() / 20
    assert (got["low"], got["high"]) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_bootstrap_of_few_or_equal_values():
    assert bootstrap([], np.mean, 0) == {"value": None, "low": None, "high": None, "n": 0}
    assert bootstrap([0.3], np.mean, 0) == {"value": 0.3, "low": 0.3, "high": 0.3, "n": 1}
    got = bootstrap([0.1] * 7, np.mean, 0)
    assert got["value"] == got["low"] == got["high"]


def test_seeds_reproduce_and_do_not_touch_the_global_state():
    values = torch.linspace(0, 1, 9)
    state = np.random.get_state()[1].copy()
    assert bootstrap(values, np.mean, 1) == bootstrap(values, np.mean, 1)
    assert bootstrap(values, np.mean, 1) != bootstrap(values, np.mean, 2)
    assert (np.random.get_state()[1] == state).all()


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 of 3 values are not finite, the first at index 1"):
        bootstrap([0.1, float("nan"), 0.2], np.mean, 0)
    assert json.dumps(estimate(float("nan"), 0, 1, 3)) == ('{"value": null, "low": 0.0, "high": 1.0, "n": 3}')


def test_pairing_removes_what_prompts_share():
    prompts = np.random.default_rng(0).normal(0, 10, 50)
    effect = np.random.default_rng(1).normal(1, 0.1, 50)
    got = paired_bootstrap(prompts + effect, prompts, np.mean, seed=0)
    assert got["value"] == pytest.approx(effect.mean())
    assert 0.9 < got["low"] < got["high"] < 1.1  # unpaired it would span several units
    assert paired_bootstrap((prompts + effect)[::-1], prompts[::-1], np.mean, seed=0) == (pytest.approx(got))
    with pytest.raises(ValueError, match="50 and 49 values cannot be paired"):
        paired_bootstrap(prompts, prompts[1:], np.mean, seed=0)


def test_median_and_its_absolute_deviation_by_hand():
    got = median_estimate(torch.tensor([0.0, 0.25, 0.5, 1.0, 0.75]))
    assert (got["value"], got["mad"], got["n"]) == (0.5, 0.25, 5)
    assert median_estimate([])["mad"] is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_paired_shares_decides_as_mcnemars_exact_test(pairs):
    a, b = zip(*pairs, strict=True)
    found = paired_shares(a, b)
    assert found["value"] == pytest.approx(np.mean(a) - np.mean(b))
    assert -1 <= found["low"] <= found["value"] <= found["high"] <= 1
    only_a, only_b = (sum(x and not y for x, y in side) for side in (pairs, zip(b, a, strict=True)))
    p = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert (found["low"] > 0 or found["high"] < 0) == (p < 0.05)


def test_two_of_two_prompts_are_not_certain():
    assert paired_shares([1, 1], [0, 0])["low"] < 0
    with pytest.raises(ValueError, match="same prompts"):
        paired_shares([1], [1, 0])
