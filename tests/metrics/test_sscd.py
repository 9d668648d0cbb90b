"""SSCD and the metrics made of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dori.metrics.d_sscd import DSSCD, d_sscd
from dori.metrics.sscd import over_seeds, sscd
from dori.metrics.sscd_frame import SSCDFrame, grey, sscd_frame
from dori.metrics.sscd_gen import SSCDGen, sscd_gen
from dori.metrics.sscd_orig import SSCDOrig, sscd_orig


def flat(images):
    """A descriptor: the pixels themselves."""
    return images.flatten(1)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_sscd_by_hand_and_in_half_precision():
    a, b = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[3.0, 4.0], [-2.0, 0.0]])
    assert sscd(a, b).tolist() == pytest.approx([0.6, -1.0])
    assert sscd(a.half(), b.half()).dtype == torch.float32
    with pytest.raises(ValueError, match="512 and of 128"):
        sscd(torch.ones(1, 512), torch.ones(1, 128))


def test_over_seeds_by_hand():
    similarity = torch.tensor([[0.1, 0.3, 0.8, 0.4], [0.0, 0.0, 0.0, 0.2]])
    assert over_seeds(similarity, "max").tolist() == pytest.approx([0.8, 0.2])
    assert over_seeds(similarity, "mean").tolist() == pytest.approx([0.4, 0.05])
    assert over_seeds(similarity, "median").tolist() == pytest.approx([0.35, 0.0])


@settings(deadline=None)
@given(st.sampled_from(["max", "mean", "median"]), st.permutations(range(6)), st.integers(0, 99))
def test_over_seeds_ignores_the_order_of_seeds(over, order, seed):
    similarity = drawn(4, 6, seed=seed)
    torch.testing.assert_close(over_seeds(similarity[:, order], over), over_seeds(similarity, over))


def test_over_seeds_refuses_what_it_cannot_reduce():
    with pytest.raises(ValueError, match=r"over='maximum' .* max, mean, median"):
        over_seeds(torch.zeros(1, 2), "maximum")
    with pytest.raises(ValueError, match=r"shape \(3, 0\)"):
        over_seeds(torch.zeros(3, 0))
    with pytest.raises(ValueError, match=r"targets \[1\] are not finite"):
        over_seeds(torch.tensor([[0.5], [float("nan")]]))


def test_sscd_orig_is_each_against_its_own_original():
    generated, originals = drawn(3, 4, 8), drawn(3, 8, seed=1)
    got = sscd_orig(generated, originals)
    for i in range(3):
        for j in range(4):
            a, b = generated[i, j], originals[i]
            assert got[i, j] == pytest.approx(float(a @ b / (a.norm() * b.norm())), abs=1e-6)


def test_sscd_orig_of_a_family_is_the_nearest_member():
    generated = drawn(2, 3, 8)
    families = [drawn(5, 8, seed=1), drawn(1, 8, seed=2)]
    got = sscd_orig(generated, families)
    each = torch.stack([sscd(generated[0], member[None]) for member in families[0]])
    torch.testing.assert_close(got[0], each.amax(0))
    torch.testing.assert_close(got[1:], sscd_orig(generated[1:], families[1]))
    with pytest.raises(ValueError, match=r"families of targets \[1\] have no member"):
        sscd_orig(generated, [families[0], torch.zeros(0, 8)])
    with pytest.raises(ValueError, match=r"shape \(2, 3, 8\) for 1 training images"):
        sscd_orig(generated, families[:1])


def test_sscd_gen_compares_the_same_seed():
    a, b = drawn(2, 3, 8), drawn(2, 3, 8, seed=1)
    got = sscd_gen(a, b)
    assert got[1, 2] == pytest.approx(float(sscd(a[1, 2], b[1, 2])))
    with pytest.raises(ValueError, match=r"\(2, 3, 8\) and \(2, 2, 8\)"):
        sscd_gen(a, b[:, :2])


def test_d_sscd_is_the_median_of_the_pairs():
    x = drawn(2, 4, 8)
    pairs = [sscd(x[0, i], x[0, j]) for i in range(4) for j in range(i + 1, 4)]
    assert d_sscd(x)[0] == pytest.approx(float(torch.stack(pairs).quantile(0.5)))
    torch.testing.assert_close(d_sscd(x[:, [2, 0, 3, 1]]), d_sscd(x))
    with pytest.raises(ValueError, match="at least two"):
        d_sscd(x[:, :1])


def test_the_frame_does_not_see_the_changing_region():
    images = torch.rand(2, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    changing = torch.zeros(2, 4, 4, dtype=torch.bool)
    changing[:, 1:3, 1:3] = True
    other = images.clone()
    other[..., 1:3, 1:3] = 0  # another filling in the same frame
    assert (grey(images, changing[:, None])[..., 1:3, 1:3] == 0.5).all()
    torch.testing.assert_close(
        sscd_frame(other, images[:, 0], changing, flat)[:, 0], torch.ones(2), atol=1e-6, rtol=0
    )
    assert (sscd_orig(other.flatten(2), images[:, 0].flatten(1))[:, 0] < 0.99).all()
    with pytest.raises(ValueError, match=r"torch.uint8 and shape \(2, 4, 4\)"):
        grey(images[:, 0], changing.byte())
    with pytest.raises(ValueError, match="give \\(targets, seeds"):
        sscd_frame(images, images[:1, 0], changing, flat)


def test_classes_are_the_functions_over_batches():
    generated, originals = drawn(5, 3, 8), drawn(5, 8, seed=1)
    images, changing = torch.rand(5, 3, 3, 2, 2), torch.zeros(5, 2, 2, dtype=torch.bool)
    cases = [
        (SSCDOrig("mean"), (generated, originals), sscd_orig(generated, originals).mean(1)),
        (SSCDGen("max"), (generated, generated), torch.ones(5)),
        (DSSCD(), (generated,), d_sscd(generated)),
        (SSCDFrame("max"), (images, images[:, 1], changing), torch.ones(5)),
    ]
    for metric, inputs, expected in cases:
        more = (flat,) if isinstance(metric, SSCDFrame) else ()
        for part in (slice(0, 2), slice(2, 5)):
            metric.update(*(x[part] for x in inputs), *more)
        got = metric.compute()
        assert got["value"] == pytest.approx(float(expected.median()), abs=1e-6)
        assert got["n"] == 5 and set(got) == {"value", "low", "high", "n", "mad"}
        assert not metric.state_dict()
