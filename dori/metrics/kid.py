"""KID, the squared maximum mean discrepancy of features (Binkowski et al., ICLR 2018)."""

from torch import Tensor

from dori.metrics.fid import checked_features, checked_pairs
from dori.metrics.intervals import Estimate
from dori.metrics.jackknife import jackknife, mmd, paired_mmd


def kid(generated: Tensor, reference: Tensor, paired: bool = False, confidence: float = 0.95) -> Estimate:
    """KID: the unbiased MMD² with the kernel (x·y / d + 1)³, of all images; may be negative.

    Binkowski et al. draw subsets, whose mean estimates the same with more error. The interval is a jackknife
    over the images of both samples, or, where they are ``paired``, over captions.

    Args:
        generated: features (n, d).
        reference: features of real pictures (m, d).
        paired: row i of both has the same caption; the plain estimate would then be too low.

    Raises:
        ValueError: if the features differ in width, there are fewer than two images of either, or those that
            are ``paired`` differ in number.

    >>> import torch
    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> kid(x[:25] + 2, x[25:])["value"] > 1 > abs(kid(x[:25], x[25:])["value"])
    True
    """
    x, y = checked_features(generated, reference)
    if paired:
        checked_pairs(x, y)
        value, left = paired_mmd(x, y)
        return jackknife(value, left, n=len(x), confidence=confidence)
    value, left_x, left_y = mmd(x, y)
    return jackknife(value, left_x, left_y, n=len(x), confidence=confidence)


def kid_difference(
    a: Tensor, b: Tensor, reference: Tensor, paired: bool = False, confidence: float = 0.95
) -> Estimate:
    """KID(a) - KID(b) of two settings on the same captions, with a paired jackknife interval.

    Leaving out a caption takes its image from both, so what the settings share cancels.

    Args:
        a: features (n, d) of one setting.
        b: features (n, d) of the other; row i has the caption and seed of row i of ``a``.
        reference: features of real pictures (m, d).
        paired: row i of the reference has that caption too.

    Raises:
        ValueError: if ``a`` and ``b`` differ in shape, and as ``kid``.

    >>> import torch
    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> kid_difference(x[:25], x[:25], x[25:])
    {'value': 0.0, 'low': 0.0, 'high': 0.0, 'n': 25}
    """
    checked_pairs(a, b)
    (x, y), (z, _) = checked_features(a, reference), checked_features(b, reference)
    if paired:
        checked_pairs(x, y)
    one, other = (paired_mmd(side, y) if paired else mmd(side, y) for side in (x, z))
    left = [mine - theirs for mine, theirs in zip(one[1:], other[1:], strict=True)]
    return jackknife(one[0] - other[0], *left, n=len(x), confidence=confidence)
