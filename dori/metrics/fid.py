"""FID, the Fréchet distance of two Gaussians fitted to features (Heusel et al., NeurIPS 2017)."""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from dori.metrics.intervals import Estimate, point
from dori.metrics.jackknife import jackknife, jackknife_ratio


def fid(
    generated: Tensor, reference: Tensor, paired: bool = False, groups: int = 20, confidence: float = 0.95
) -> Estimate:
    """FID = ‖μ_g - μ_r‖² + tr(Σ_g + Σ_r - 2 (Σ_g Σ_r)^½), in float64; biased upwards at small n.

    The interval is a jackknife over ``groups`` parts of either sample, or, where they are ``paired``, of
    captions: the spread, not the bias. It costs as many further evaluations (little at 64 features, minutes
    at 2,048); ``groups=0`` leaves it out.

    Args:
        generated: features (n, d).
        reference: features of real pictures (m, d).
        paired: row i of both has the same caption.

    Raises:
        ValueError: unless both have more rows than features: their covariance would be singular; and where
            those that are ``paired`` differ in number.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> round(fid(x + 1.0, x)["value"], 6)  # the mean moved by 1 in both features
    2.0
    """
    x, y = _enough(generated, reference)
    value = _frechet(x, y)
    if groups < 2:
        return point(value, len(x))
    if paired:
        checked_pairs(x, y)
        return jackknife(value, _left_out(x, y, groups), n=len(x), confidence=confidence)
    left = [_frechet(_without(x, part, groups), y) for part in range(groups)]
    left_y = [_frechet(x, _without(y, part, groups)) for part in range(groups)]
    return jackknife(value, left, left_y, n=len(x), confidence=confidence)


def fid_ratio(
    a: Tensor, b: Tensor, reference: Tensor, groups: int = 20, confidence: float = 0.95
) -> Estimate:
    """FID(a) / FID(b) of two settings, all three of the same captions; jackknife of its logarithm over those.

    Both are biased upwards by as much, so that the ratio is nearer to 1 than the true one at small n.

    Args:
        a, b, reference: features (n, d); row i of each has the same caption.

    Raises:
        ValueError: if the three differ in shape, and as ``fid``.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> round(fid_ratio(x + 2.0, x + 1.0, x)["value"], 6)
    4.0
    """
    checked_pairs(a, b)
    checked_pairs(a, reference)
    (x, y), (z, _) = _enough(a, reference), _enough(b, reference)
    if groups < 2:
        return point(_frechet(x, y) / _frechet(z, y), len(x))
    left = [_left_out(side, y, groups) for side in (x, z)]
    return jackknife_ratio(_frechet(x, y), _frechet(z, y), left[0], left[1], len(x), confidence)


def fid_floor(reference: Tensor) -> Estimate:
    """What FID two equal models would show: that of one half of the real pictures to the other, halved.

    The bias falls as 1/n (Chong and Forsyth, CVPR 2020), and a half has half as many: an estimate for n.

    Raises:
        ValueError: as ``fid``, of the halves.

    >>> x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    >>> fid_floor(x)["value"] < 0.01
    True
    """
    return point(fid(reference[::2], reference[1::2], groups=0)["value"] / 2, len(reference))  # type: ignore[operator]


def checked_features(generated: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64 and on one device.

    Raises:
        ValueError: if they are not (n, d) and (m, d) with at least two rows, or not finite.
    """
    if generated.ndim != 2 or reference.ndim != 2 or generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"features of shapes {tuple(generated.shape)} and {tuple(reference.shape)}: give "
            "(n, d) and (m, d) from the same feature network"
        )
    for name, features in (("generated", generated), ("reference", reference)):
        if len(features) < 2:
            raise ValueError(f"{len(features)} {name} images are too few for a distance: give at least two")
        wrong = (~features.isfinite().all(1)).nonzero().flatten().tolist()
        if wrong:
            raise ValueError(f"features of {name} images {wrong[:8]} are not finite: leave those images out")
    x = generated.double()
    return x, reference.to(x)


def checked_pairs(a: Tensor, b: Tensor) -> None:
    """Raises ValueError where features do not belong together row by row."""
    if a.shape != b.shape:
        raise ValueError(
            f"features of shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be paired: give both of the"
            " same captions, in the same order"
        )


def _enough(generated: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    x, y = checked_features(generated, reference)
    for name, features in (("generated", x), ("reference", y)):
        if len(features) <= features.shape[1]:
            raise ValueError(
                f"FID of {len(features)} {name} images with {features.shape[1]} features: the "
                "covariance is singular; give more images than features, or narrower features"
            )
    return x, y


class _Given(nn.Module):
    """The feature network of features that are given."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _frechet(x: Tensor, y: Tensor) -> float:
    # in a process group it would gather the features, which are whole already, once more
    metric = FrechetInceptionDistance(feature=_Given(x.shape[1]), sync_on_compute=False)
    metric.set_dtype(torch.float64).to(x.device)
    metric.update(x, real=False)
    metric.update(y, real=True)
    return float(metric.compute())


def _left_out(x: Tensor, y: Tensor, groups: int) -> list[float]:
    """The distance without each part of the captions."""
    return [_frechet(_without(x, part, groups), _without(y, part, groups)) for part in range(groups)]


def _without(features: Tensor, part: int, groups: int) -> Tensor:
    return features[torch.arange(len(features), device=features.device) % groups != part]
