"""FID and KID from features."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

from dori.metrics.fid import fid
from dori.metrics.fid_kid import FIDKID
from dori.metrics.jackknife import jackknife_error, mmd_left_out
from dori.metrics.kid import kid, kid_difference


def drawn(n, d=4, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) + shift


def test_fid_is_the_distance_of_two_gaussians():
    x, y = drawn(60), 2 * drawn(80, seed=1, shift=0.3)
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    mean = (x.mean(0) - y.mean(0)).square().sum().item()
    expected = mean + np.trace(a) + np.trace(b) - 2 * np.trace(linalg.sqrtm(a @ b)).real
    got = fid(x, y)
    assert got["value"] == pytest.approx(expected) and got["n"] == 60
    assert got["low"] < got["value"] < got["high"]
    assert fid(x, y, groups=0) == {**got, "low": None, "high": None}
    assert fid(x, x, groups=0)["value"] == pytest.approx(0, abs=1e-9)


def test_fid_interval_has_about_the_spread_of_repeated_samples():
    values = [fid(drawn(150, 2, s, shift=1), drawn(150, 2, 99 + s), groups=0)["value"] for s in range(40)]
    one = fid(drawn(150, 2, shift=1), drawn(150, 2, 99))
    assert 0.5 < (one["high"] - one["low"]) / (2 * 1.96 * np.std(values)) < 2


def test_fid_needs_more_images_than_features():
    with pytest.raises(ValueError, match="FID of 4 generated images with 4 features"):
        fid(drawn(4), drawn(9))
    with pytest.raises(ValueError, match="FID of 4 reference images with 4 features"):
        fid(drawn(9), drawn(4))


def test_features_that_do_not_fit_are_refused():
    for metric in (fid, kid):
        with pytest.raises(ValueError, match=r"\(9, 4\) and \(9, 3\)"):
            metric(drawn(9), drawn(9, 3))
        with pytest.raises(ValueError, match="1 generated images are too few"):
            metric(drawn(1), drawn(9))
        with pytest.raises(ValueError, match=r"reference images \[1\] are not finite"):
            metric(drawn(9), drawn(9).index_fill(0, torch.tensor([1]), torch.nan))


@pytest.mark.parametrize("n, size", [(30, 10), (25, 1000)])
def test_kid_is_torchmetrics_kid(n, size):
    x, y = drawn(n, shift=0.5), drawn(25, seed=1)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # it warns that it keeps the features
        metric = KernelInceptionDistance(nn.Identity(), subsets=20, subset_size=min(size, 25))
        metric.update(x, real=False)
        metric.update(y, real=True)
        torch.manual_seed(7)
        expected, _ = metric.compute()
    state = torch.get_rng_state()
    got = kid(x, y, seed=7, subsets=20, subset_size=size)
    assert got["value"] == pytest.approx(expected.item(), abs=1e-12) and got["n"] == n
    assert torch.equal(torch.get_rng_state(), state)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_kid_of_one_distribution_is_around_zero(seed):
    got = kid(drawn(100, seed=seed), drawn(100, seed=seed + 20_000))
    assert abs(got["value"]) < 0.3 < kid(drawn(100, seed=seed, shift=1), drawn(100))["low"]


def test_kid_is_unbiased_and_its_interval_covers_zero():
    got = [kid(drawn(60, seed=s), drawn(60, seed=1000 + s)) for s in range(60)]
    values = np.array([x["value"] for x in got])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(60) and (values < 0).any()
    assert np.mean([x["low"] <= 0 <= x["high"] for x in got]) >= 0.9


def test_left_out_values_are_those_of_the_smaller_samples():
    x, y = drawn(5), drawn(4, seed=1)
    without_x, without_y = mmd_left_out(x, y)
    rows = torch.arange(5)
    # torchmetrics takes equal sizes only: drop one of x against all four of y
    expected = torch.stack([poly_mmd(y, x[rows != i]) for i in range(5)])
    torch.testing.assert_close(without_x, expected)
    # and the estimator is symmetric in the samples
    torch.testing.assert_close(without_y, mmd_left_out(y, x)[0])


def test_jackknife_error_of_a_mean_is_the_standard_error():
    x = drawn(30)[:, 0]
    left_out = (x.sum() - x) / 29
    assert jackknife_error(left_out) == pytest.approx(x.std().item() / 30**0.5)


def test_kid_difference_is_paired():
    reference, a = drawn(100, seed=1), drawn(100)
    b = a + 1 + 0.01 * drawn(100, seed=2)  # the same pictures, each changed alike
    got = kid_difference(b, a, reference)
    one, other = kid(b, reference), kid(a, reference)
    assert got["value"] == pytest.approx(one["value"] - other["value"])
    unpaired = (one["high"] - one["low"] + other["high"] - other["low"]) / 2
    assert got["low"] > 0 and (got["high"] - got["low"]) / 2 < unpaired
    assert kid_difference(a, b, reference)["value"] == pytest.approx(-got["value"])
    with pytest.raises(ValueError, match=r"\(100, 4\) and \(99, 4\) cannot be paired"):
        kid_difference(a, b[1:], reference)


def test_class_does_not_depend_on_batches_or_order():
    x, y = drawn(40).float(), drawn(50, seed=1).float()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    metric = FIDKID(seed=3, subsets=5, subset_size=20)
    for part in order.split(15):
        metric.update(x[part], part, real=False)
    metric.update(y, torch.arange(50), real=True)
    assert metric.compute() == {"FID": fid(x, y), "KID": kid(x, y, 3, 5, 20)}
    with pytest.raises(ValueError, match=r"\(40, 4\) with indices \(39,\)"):
        metric.update(x, order[1:], real=True)
