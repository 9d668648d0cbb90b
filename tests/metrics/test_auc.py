"""The area under the ROC curve, and its interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dori.metrics.auc import auc

scores = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(scores, scores)
def test_it_is_the_share_of_pairs_in_order(a, b):
    found = auc(a, b)
    pairs = [1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b]
    assert found["value"] == pytest.approx(np.mean(pairs))
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    mirrored = auc(b, a)
    assert (mirrored["low"], mirrored["high"]) == pytest.approx((1 - found["high"], 1 - found["low"]))


def test_groups_that_do_not_overlap_are_not_certain():
    assert auc([1, 2], [0])["low"] < 0.7
    with pytest.raises(ValueError, match="at least one of each"):
        auc([], [1.0])


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    found = [auc(rng.normal(1, 1, 20), rng.normal(0, 1, 30)) for _ in range(300)]
    assert np.mean([f["low"] <= 0.7602 <= f["high"] for f in found]) > 0.9  # Φ(1 / √2)
