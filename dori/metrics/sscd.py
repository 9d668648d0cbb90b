"""SSCD: how much one image copies another (Pizzi et al., "A Self-Supervised Descriptor for Image
Copy Detection", CVPR 2022)."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

Over = Literal["max", "mean", "median"]


def sscd(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of copy-detection descriptors: a·b / (‖a‖₂ ‖b‖₂).

    Args:
        a: descriptors (n, d), or any leading dimensions that broadcast with those of ``b``.
        b: descriptors (n, d).

    Returns:
        similarities (n,), float32, between -1 and 1.

    Raises:
        ValueError: if the two were not described with the same number of dimensions.

    >>> import torch
    >>> sscd(torch.tensor([[1.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 2.0], [3.0, 4.0]]))
    tensor([0., 1.])
    """
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"descriptors of {a.shape[-1]} and of {b.shape[-1]} dimensions cannot be compared: "
            "describe both images with the same descriptor"
        )
    return F.cosine_similarity(a.float(), b.float(), dim=-1)


def pairwise(descriptors: Tensor) -> Tensor:
    """Similarities among the images of each prompt: cos(a_ij, a_ik).

    Args:
        descriptors: (..., seeds, d).

    Returns:
        (..., seeds, seeds), float32.

    >>> import torch
    >>> pairwise(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    tensor([[1., 0.],
            [0., 1.]])
    """
    # a product of matrices: 500 images have 124,750 pairs, too many to lay out side by side
    unit = F.normalize(descriptors.float(), dim=-1)
    return unit @ unit.mT


def over_seeds(similarity: Tensor, over: Over = "max") -> Tensor:
    """One similarity per prompt from those of its seeds.

    Args:
        similarity: (targets, seeds).
        over: ``max``, ``mean`` or ``median`` (of an even number: the mean of the middle two).

    Returns:
        (targets,), float32.

    Raises:
        ValueError: if ``over`` is none of these, the shape is not (targets, seeds) with at least
            one seed, or a similarity is not finite.

    >>> import torch
    >>> over_seeds(torch.tensor([[0.25, 0.5, 0.75, 1.0]]), "median")
    tensor([0.6250])
    """
    if similarity.ndim != 2 or similarity.shape[1] == 0:
        raise ValueError(
            f"similarities of shape {tuple(similarity.shape)}: give (targets, seeds), seeds >= 1"
        )
    finite = similarity.isfinite().all(1)
    if not finite.all():
        # NaN > 0.7 is false: it would count as a mitigated image
        failed = (~finite).nonzero().flatten().tolist()
        raise ValueError(
            f"similarities of targets {failed} are not finite: list them as failed, leave them out"
        )
    similarity = similarity.float()
    if over == "max":
        return similarity.amax(1)
    if over == "mean":
        return similarity.mean(1)
    if over == "median":
        return similarity.quantile(0.5, dim=1)
    raise ValueError(f"over={over!r} is not known: give one of {', '.join(get_args(Over))}")
