"""SSCD_Orig: the generated images against the training image ("Finding NeMo", NeurIPS 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.intervals import Estimate
from dori.metrics.quantiles import median_estimate
from dori.metrics.sscd import Over, over_seeds, sscd


def sscd_orig(generated: Tensor, originals: Tensor | Sequence[Tensor]) -> Tensor:
    """Similarity of every generated image to its training image: cos(generated_ij, original_i).

    A template was memorized from a family of pictures: there, to the nearest member,
    max_k cos(generated_ij, member_ik).

    Args:
        generated: descriptors (targets, seeds, d).
        originals: descriptors of the training images (targets, d); or, for families, one tensor
            (members, d) per target.

    Returns:
        similarities (targets, seeds).

    Raises:
        ValueError: if the numbers of targets or dimensions differ, or a family has no member.

    >>> generated = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> sscd_orig(generated, torch.tensor([[1.0, 0.0]]))
    tensor([[1., 0.]])
    >>> sscd_orig(generated, [torch.eye(2)])
    tensor([[1., 1.]])
    """
    if generated.ndim != 3 or len(generated) != len(originals):
        raise ValueError(
            f"generated descriptors of shape {tuple(generated.shape)} for {len(originals)} "
            "training images: give (targets, seeds, d), one training image, or family, per target"
        )
    families = [members.reshape(-1, members.shape[-1]) for members in originals]
    empty = [i for i, members in enumerate(families) if not len(members)]
    if empty:
        raise ValueError(f"the families of targets {empty} have no member: give each its training images")
    rows = [
        sscd(images[:, None], members).amax(1) for images, members in zip(generated, families, strict=True)
    ]
    return torch.stack(rows) if rows else generated.new_zeros(generated.shape[:2])


class SSCDOrig(Metric):
    """Median over prompts of ``sscd_orig``, after ``over`` (max, mean, median) over seeds.

    >>> metric = SSCDOrig(over="max")
    >>> metric.update(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[1.0, 0.0]]))
    >>> metric.compute()
    {'value': 1.0, 'low': None, 'high': None, 'n': 1, 'mad': 0.0}
    """

    full_state_update = False
    higher_is_better = None
    similarity: list[Tensor]

    def __init__(self, over: Over = "max", seed: int = 0, confidence: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.over, self.seed, self.confidence = over, seed, confidence
        self.add_state("similarity", [], dist_reduce_fx="cat")

    def update(self, generated: Tensor, originals: Tensor | Sequence[Tensor]) -> None:
        self.similarity.append(over_seeds(sscd_orig(generated, originals), self.over))

    def compute(self) -> Estimate:
        return median_estimate(dim_zero_cat(self.similarity), self.seed, self.confidence)
