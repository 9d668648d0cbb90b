"""KID, the squared maximum mean discrepancy of features (Binkowski et al., ICLR 2018)."""

import math

import torch
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from dori.metrics.fid import checked_features
from dori.metrics.intervals import Estimate
from dori.metrics.jackknife import jackknife_error, mmd_left_out, normal_interval


def kid(
    generated: Tensor,
    reference: Tensor,
    seed: int = 0,
    subsets: int = 100,
    subset_size: int = 1000,
    confidence: float = 0.95,
) -> Estimate:
    """KID: mean over random subsets of the unbiased MMD², kernel (x·y / d + 1)³; may be negative.

    The interval is a jackknife over the images of both samples, and the error of drawing subsets.

    Args:
        generated: features (n, d).
        reference: features of real pictures (m, d).
        subset_size: at most; smaller samples are taken whole.

    Raises:
        ValueError: if the features differ in width or there are fewer than two images of either.

    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> kid(x[:25] + 2, x[25:])["value"] > 1 > abs(kid(x[:25], x[25:])["value"])
    True
    """
    x, y = checked_features(generated, reference)
    scores = _subset_scores(x, y, seed, subsets, subset_size)
    left_x, left_y = mmd_left_out(x, y)
    return _kid_estimate(scores, left_x, left_y, confidence)


def kid_difference(
    a: Tensor,
    b: Tensor,
    reference: Tensor,
    seed: int = 0,
    subsets: int = 100,
    subset_size: int = 1000,
    confidence: float = 0.95,
) -> Estimate:
    """KID(a) - KID(b) of two settings on the same captions, with a paired jackknife interval.

    Leaving out a caption takes its image from both, so what the settings share cancels. The
    reference counts as an independent sample: too wide an interval where it has the same captions.

    Args:
        a: features (n, d) of one setting.
        b: features (n, d) of the other; row i has the caption and seed of row i of ``a``.
        reference: features of real pictures (m, d).

    Raises:
        ValueError: if ``a`` and ``b`` differ in shape, and as ``kid``.

    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> kid_difference(x[:25], x[:25], x[25:])
    {'value': 0.0, 'low': 0.0, 'high': 0.0, 'n': 25}
    """
    if a.shape != b.shape:
        raise ValueError(
            f"features of shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be paired: "
            "generate both settings from the same captions and seeds"
        )
    x, y = checked_features(a, reference)
    z, _ = checked_features(b, reference)
    # the same seed draws the same subsets for both
    scores = _subset_scores(x, y, seed, subsets, subset_size) - _subset_scores(
        z, y, seed, subsets, subset_size
    )
    (left_x, left_y), (left_z, left_yz) = mmd_left_out(x, y), mmd_left_out(z, y)
    return _kid_estimate(scores, left_x - left_z, left_y - left_yz, confidence)


def _subset_scores(x: Tensor, y: Tensor, seed: int, subsets: int, subset_size: int) -> Tensor:
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"{subsets} subsets of {subset_size}: give at least one subset of at least two")
    size = min(subset_size, len(x), len(y))
    if size == len(x) == len(y):
        return poly_mmd(y, x)[None]  # every subset would be the whole
    generator = torch.Generator().manual_seed(seed)
    scores = []
    for _ in range(subsets):
        # torchmetrics' order of drawing, from a generator of our own
        real = y[torch.randperm(len(y), generator=generator)[:size].to(y.device)]
        fake = x[torch.randperm(len(x), generator=generator)[:size].to(x.device)]
        scores.append(poly_mmd(real, fake))
    return torch.stack(scores)


def _kid_estimate(scores: Tensor, left_x: Tensor, left_y: Tensor, confidence: float) -> Estimate:
    drawing = float(scores.std(unbiased=False)) / math.sqrt(len(scores))
    error = math.hypot(jackknife_error(left_x), jackknife_error(left_y), drawing)
    return normal_interval(float(scores.mean()), error, len(left_x), confidence)
