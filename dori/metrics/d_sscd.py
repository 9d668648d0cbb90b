"""D_SSCD: how alike the images of one prompt are ("Finding NeMo", NeurIPS 2024)."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.intervals import Estimate
from dori.metrics.quantiles import median_estimate
from dori.metrics.sscd import over_seeds, pairwise


def d_sscd(generated: Tensor) -> Tensor:
    """Median similarity among a prompt's images: median_{j<k} cos(generated_ij, generated_ik).

    High when every seed gives the same picture, as memorized prompts do.

    Args:
        generated: descriptors (targets, seeds, d).

    Returns:
        one value per prompt (targets,).

    Raises:
        ValueError: if there are fewer than two seeds, or a similarity is not finite.

    >>> d_sscd(torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))
    tensor([0.])
    """
    if generated.ndim != 3 or generated.shape[1] < 2:
        raise ValueError(
            f"descriptors of shape {tuple(generated.shape)}: give (targets, seeds, d) with at "
            "least two seeds, or leave D_SSCD out"
        )
    first, second = torch.triu_indices(generated.shape[1], generated.shape[1], offset=1)
    return over_seeds(pairwise(generated)[:, first, second], "median")


class DSSCD(Metric):
    """Median over prompts of ``d_sscd``.

    >>> metric = DSSCD()
    >>> metric.update(torch.ones(3, 4, 8))
    >>> metric.compute()["n"]
    3
    """

    full_state_update = False
    higher_is_better = None
    similarity: list[Tensor]

    def __init__(self, seed: int = 0, confidence: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed, self.confidence = seed, confidence
        self.add_state("similarity", [], dist_reduce_fx="cat")

    def update(self, generated: Tensor) -> None:
        self.similarity.append(d_sscd(generated))

    def compute(self) -> Estimate:
        return median_estimate(dim_zero_cat(self.similarity), self.seed, self.confidence)
