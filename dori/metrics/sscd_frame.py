"""SSCD_Frame: what a template keeps, its changing region greyed in both images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.intervals import Estimate
from dori.metrics.quantiles import median_estimate
from dori.metrics.sscd import Over, over_seeds
from dori.metrics.sscd_orig import sscd_orig

GREY = 0.5


def grey(images: Tensor, changing: Tensor) -> Tensor:
    """``images`` with mid-grey where ``changing`` is true.

    Args:
        images: (..., 3, h, w) in [0, 1].
        changing: boolean (..., h, w); its leading dimensions broadcast with those of ``images``.

    Raises:
        ValueError: if ``changing`` is not boolean or not of the images' height and width.

    >>> grey(torch.ones(1, 3, 1, 2), torch.tensor([[[True, False]]]))[0, 0]
    tensor([[0.5000, 1.0000]])
    """
    if changing.dtype != torch.bool or changing.shape[-2:] != images.shape[-2:]:
        raise ValueError(
            f"a changing region of {changing.dtype} and shape {tuple(changing.shape)} for images "
            f"of shape {tuple(images.shape)}: give a boolean mask of the same height and width"
        )
    return images.masked_fill(changing.unsqueeze(-3), GREY)


def sscd_frame(
    generated: Tensor, originals: Tensor, changing: Tensor, descriptor: Callable[[Tensor], Tensor]
) -> Tensor:
    """cos(descriptor(grey(generated_ij)), descriptor(grey(original_i))): the frame alone.

    Args:
        generated: images (targets, seeds, 3, h, w) in [0, 1].
        originals: one picture of each family (targets, 3, h, w) in [0, 1]; all have the frame.
        changing: boolean (targets, h, w), true where the members of a family differ.
        descriptor: images (n, 3, h, w) to descriptors (n, d).

    Returns:
        similarities (targets, seeds).

    Raises:
        ValueError: if the shapes do not fit each other.

    >>> images = torch.rand(2, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> changing = torch.ones(2, 4, 4, dtype=torch.bool)
    >>> sscd_frame(images, images[:, 0], changing, lambda x: x.flatten(1)).shape
    torch.Size([2, 3])
    """
    if generated.ndim != 5 or originals.shape != generated[:, 0].shape or len(changing) != len(originals):
        raise ValueError(
            f"generated {tuple(generated.shape)}, originals {tuple(originals.shape)}, changing "
            f"{tuple(changing.shape)}: give (targets, seeds, 3, h, w), (targets, 3, h, w) "
            "and (targets, h, w)"
        )
    drawn = descriptor(grey(generated, changing[:, None]).flatten(0, 1)).unflatten(0, generated.shape[:2])
    return sscd_orig(drawn, descriptor(grey(originals, changing)))


class SSCDFrame(Metric):
    """Median over prompts of ``sscd_frame``, after ``over`` (max, mean, median) over seeds.

    The descriptor comes with ``update``: kept here, it would enter the state dict of a module
    that holds the metric.

    >>> metric, images = SSCDFrame(), torch.ones(1, 2, 3, 4, 4)
    >>> changing = torch.zeros(1, 4, 4, dtype=torch.bool)
    >>> metric.update(images, images[:, 0], changing, lambda x: x.flatten(1))
    >>> round(metric.compute()["value"], 4)
    1.0
    """

    full_state_update = False
    higher_is_better = None
    similarity: list[Tensor]

    def __init__(self, over: Over = "max", seed: int = 0, confidence: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.over, self.seed, self.confidence = over, seed, confidence
        self.add_state("similarity", [], dist_reduce_fx="cat")

    def update(
        self,
        generated: Tensor,
        originals: Tensor,
        changing: Tensor,
        descriptor: Callable[[Tensor], Tensor],
    ) -> None:
        similarity = sscd_frame(generated, originals, changing, descriptor)
        self.similarity.append(over_seeds(similarity, self.over))

    def compute(self) -> Estimate:
        return median_estimate(dim_zero_cat(self.similarity), self.seed, self.confidence)
