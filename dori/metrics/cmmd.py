"""CMMD: the squared maximum mean discrepancy of CLIP's embeddings (Jayasumana et al., CVPR 2024)."""

import torch
from torch import Tensor

from dori.metrics.fid import checked_features
from dori.metrics.intervals import Estimate
from dori.metrics.jackknife import jackknife

SIGMA, SCALE = 10.0, 1000.0  # the paper's


def cmmd(generated: Tensor, reference: Tensor, confidence: float = 0.95) -> Estimate:
    """1000 · MMD² with the kernel k(x, y) = exp(-‖x - y‖² / (2 · 10²)) of embeddings of length one.

    As the paper has it, the means are over all pairs, those of a picture with itself, too (Gretton et al.,
    JMLR 2012, eq. 5): never below zero, and above it by about 1000 (1 - k̄) (1/n + 1/m) where nothing differs.
    The interval is a jackknife over the pictures of both samples.

    Args:
        generated: embeddings (n, d) of CLIP ViT-L/14 at 336 pixels.
        reference: those of real pictures (m, d).

    Raises:
        ValueError: if they differ in width, are not finite, or there are fewer than two of either.

    >>> x = torch.eye(4)
    >>> round(cmmd(x, x)["value"], 9)
    0.0
    """
    x, y = checked_features(generated, reference)
    n, m = len(x), len(y)
    xx, yy, xy, yx = _row_sums(x, x), _row_sums(y, y), _row_sums(x, y), _row_sums(y, x)
    value = xx.sum() / n**2 + yy.sum() / m**2 - 2 * xy.sum() / (n * m)
    # a picture's row and column are left out, which share k(x, x) = 1
    left_x = (xx.sum() - 2 * xx + 1) / (n - 1) ** 2 + yy.sum() / m**2
    left_x = left_x - 2 * (xy.sum() - xy) / ((n - 1) * m)
    left_y = xx.sum() / n**2 + (yy.sum() - 2 * yy + 1) / (m - 1) ** 2
    left_y = left_y - 2 * (xy.sum() - yx) / (n * (m - 1))
    return jackknife(float(SCALE * value), SCALE * left_x, SCALE * left_y, n=n, confidence=confidence)


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    # in parts: the whole kernel of 10,000 pictures takes 800 MB
    squares = (torch.cdist(part, y).square() for part in x.split(1024))
    return torch.cat([(-part / (2 * SIGMA**2)).exp().sum(1) for part in squares])
