"""MR, Displacement and A_CLIP."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dori.metrics.a_clip import ACLIP, a_clip
from dori.metrics.displacement import Displacement, displacement
from dori.metrics.intervals import clopper_pearson
from dori.metrics.memorization_rate import MemorizationRate, memorization_rate

SIMILARITY = torch.tensor([[0.70, 0.70], [0.71, 0.10], [0.9, 0.8], [0.0, 0.1]])


def test_memorization_rate_by_hand():
    got = memorization_rate(SIMILARITY)  # 0.70 is not above 0.7
    assert got["value"] == 0.5 and (got["low"], got["high"]) == clopper_pearson(2, 4)
    assert memorization_rate(SIMILARITY, over="mean")["value"] == 0.25
    assert memorization_rate(SIMILARITY, threshold=0.95)["value"] == 0


def test_memorization_rate_at_zero_and_without_targets():
    got = memorization_rate(torch.zeros(48, 4))
    assert got["value"] == got["low"] == 0 and got["high"] == pytest.approx(0.074, abs=1e-3)
    assert memorization_rate(torch.zeros(0, 4)) == {"value": None, "low": 0, "high": 1, "n": 0}


def test_a_similarity_that_is_not_a_number_is_not_a_mitigated_image():
    with pytest.raises(ValueError, match=r"targets \[2\] are not finite"):
        memorization_rate(torch.tensor([[0.1], [0.9], [float("nan")]]))


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(4)), st.integers(0, 4), st.sampled_from(["max", "mean"]))
def test_memorization_rate_in_batches_of_any_order(order, cut, over):
    metric = MemorizationRate(over=over)
    metric.update(SIMILARITY[order][:cut])
    metric.update(SIMILARITY[order][cut:])
    assert metric.compute() == memorization_rate(SIMILARITY, over=over)


def test_displacement_by_hand():
    y0 = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    y = y0 + torch.tensor([[[0.0, 5.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert displacement(y, y0).tolist() == pytest.approx([1.0, 0.0])
    metric = Displacement()
    metric.update(y, y0)
    assert metric.compute()["value"] == pytest.approx(0.5)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 100), st.floats(0, 10), st.integers(0, 99))
def test_displacement_is_relative(scale, epsilon, seed):
    generator = torch.Generator().manual_seed(seed)
    y0, step = torch.randn(2, 3, 4, 5, generator=generator)
    size = epsilon * y0.flatten(1).norm(dim=1) / step.flatten(1).norm(dim=1)
    y = y0 + step * size[:, None, None]
    got = displacement(scale * y, scale * y0)
    torch.testing.assert_close(got, torch.full((3,), epsilon), rtol=1e-3, atol=1e-5)


def test_displacement_refuses_what_has_no_relative_change():
    with pytest.raises(ValueError, match=r"targets \[1\] are zero"):
        displacement(torch.ones(2, 1, 1), torch.tensor([1.0, 0.0]).view(2, 1, 1))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) and \(1, 3, 4\)"):
        displacement(torch.ones(2, 3, 4), torch.ones(1, 3, 4))


def test_a_clip_is_a_mean_cosine():
    image = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    text = torch.tensor([[5.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert a_clip(image, text).tolist() == pytest.approx([1.0, 0.0, 1.0])
    metric = ACLIP()
    metric.update(image[:1], text[:1])
    metric.update(image[1:], text[1:])
    got = metric.compute()
    assert got["value"] == pytest.approx(2 / 3) and got["n"] == 3
    # Student: 4.302653, the 97.5 % point at two degrees of freedom, times a standard error of a third
    assert (got["low"], got["high"]) == pytest.approx((2 / 3 - 4.302653 / 3, 2 / 3 + 4.302653 / 3))
    with pytest.raises(ValueError, match="one image per prompt"):
        a_clip(image, text[:2])
