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

from dori.metrics.fid import fid, fid_floor, fid_ratio
from dori.metrics.fid_kid import FIDKID
from dori.metrics.jackknife import jackknife_error, mmd, paired_mmd
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


def test_kid_is_torchmetrics_kid_of_all_images():
    x, y = drawn(25, shift=0.5), drawn(25, seed=1)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # it warns that it keeps the features
        metric = KernelInceptionDistance(nn.Identity(), subsets=1, subset_size=25)
        metric.update(x, real=False)
        metric.update(y, real=True)
        expected, _ = metric.compute()
    state = torch.get_rng_state()
    got = kid(x, y)
    assert got["value"] == pytest.approx(expected.item(), abs=1e-12) and got["n"] == 25
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
    _, without_x, without_y = mmd(x, y)
    rows = torch.arange(5)
    # torchmetrics takes equal sizes only: drop one of x against all four of y
    expected = torch.stack([poly_mmd(y, x[rows != i]) for i in range(5)])
    torch.testing.assert_close(without_x, expected)
    # and the estimator is symmetric in the samples
    torch.testing.assert_close(without_y, mmd(y, x)[1])


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


def kernel(a, b):
    return float((a @ b / len(a) + 1) ** 3)


def test_paired_kid_is_gretton_equation_4_term_by_term():
    """JMLR 2012: the mean over all i ≠ j of k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)."""
    x, y = drawn(6), drawn(6, seed=1)

    def expected(places):
        terms = [
            kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
            for i in places for j in places if i != j
        ]  # fmt: skip
        return np.mean(terms)

    value, left = paired_mmd(x, y)
    assert value == pytest.approx(expected(range(6)))
    assert left.tolist() == pytest.approx([expected([i for i in range(6) if i != j]) for j in range(6)])


def test_of_the_same_captions_only_the_paired_kid_is_unbiased():
    """Two pictures of each caption, as alike as captions make them, from one distribution: the truth is 0."""
    plain, paired, held = [], [], []
    for seed in range(200):
        caption = drawn(40, seed=seed)
        x, y = (0.8 * caption + 0.6 * drawn(40, seed=1000 * k + seed) for k in (1, 2))
        plain.append(kid(x, y)["value"])
        paired.append(kid(x, y, paired=True))
        held.append(paired[-1]["low"] <= 0 <= paired[-1]["high"])
    values = np.array([found["value"] for found in paired])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 3 * error < 0.2 * -np.mean(plain)
    assert np.mean(held) > 0.92


def test_fid_of_the_same_captions_leaves_a_caption_out_of_both():
    ratios = []
    for seed in range(15):
        caption = drawn(150, 2, seed)
        x, y = caption + 0.3 + 0.1 * drawn(150, 2, 1000 + seed), caption
        ratios.append((fid(x, y, groups=0)["value"], fid(x, y, paired=True), fid(x, y)))
    spread = np.std([value for value, *_ in ratios])
    paired, plain = (
        np.mean([(f["high"] - f["low"]) / 4.19 for f in side]) for side in list(zip(*ratios, strict=True))[1:]
    )
    assert 0.6 < paired / spread < 1.6 and plain > 3 * spread


def test_a_ratio_of_fids_has_its_interval():
    y = drawn(300, 2)
    a, b = y + 0.6 + 0.1 * drawn(300, 2, 1), y + 0.4 + 0.1 * drawn(300, 2, 2)
    found = fid_ratio(a, b, y)
    assert found["value"] == pytest.approx(fid(a, y)["value"] / fid(b, y)["value"])
    assert 1.9 < found["low"] < (0.6 / 0.4) ** 2 < found["high"] < 2.7
    with pytest.raises(ValueError, match="cannot be paired"):
        fid_ratio(a, b[1:], y)


def test_the_floor_of_fid_is_what_two_equal_samples_show():
    values = [fid(drawn(400, 8, s), drawn(400, 8, 99 + s), groups=0)["value"] for s in range(20)]
    floors = [fid_floor(drawn(400, 8, s))["value"] for s in range(20)]
    assert np.mean(floors) == pytest.approx(np.mean(values), rel=0.1)


def test_class_does_not_depend_on_batches_or_order():
    x, y = drawn(40).float(), drawn(50, seed=1).float()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    metric, same = FIDKID(), FIDKID()
    for part in order.split(15):
        metric.update(x[part], part, real=False)
        same.update(x[part], part, real=False)
    metric.update(y, torch.arange(50), real=True)
    same.update(y[:40], torch.arange(40), real=True)
    assert metric.compute() == {"FID": fid(x, y), "KID": kid(x, y)}
    assert same.compute() == {"FID": fid(x, y[:40], paired=True), "KID": kid(x, y[:40], paired=True)}
    with pytest.raises(ValueError, match=r"\(40, 4\) with indices \(39,\)"):
        metric.update(x, order[1:], real=True)
