"""SSCD_Gen: mitigated against unmitigated images of one seed ("Finding NeMo", NeurIPS 2024)."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.intervals import Estimate
from dori.metrics.quantiles import median_estimate
from dori.metrics.sscd import Over, over_seeds, sscd


def sscd_gen(mitigated: Tensor, unmitigated: Tensor) -> Tensor:
    """Similarity at the same prompt and the same seed: cos(mitigated_ij, unmitigated_ij).

    Args:
        mitigated: descriptors (targets, seeds, d).
        unmitigated: descriptors (targets, seeds, d) of the same prompts and seeds, in order.

    Returns:
        similarities (targets, seeds).

    Raises:
        ValueError: if the shapes differ.

    >>> import torch
    >>> unmitigated = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> sscd_gen(torch.eye(2)[None], unmitigated)
    tensor([[1., 0.]])
    """
    if mitigated.ndim != 3 or mitigated.shape != unmitigated.shape:
        raise ValueError(
            f"descriptors of shapes {tuple(mitigated.shape)} and {tuple(unmitigated.shape)}: give "
            "both models' images of the same prompts and seeds, (targets, seeds, d)"
        )
    return sscd(mitigated, unmitigated)


class SSCDGen(Metric):
    """Median over prompts of ``sscd_gen``, after ``over`` (max, mean, median) over seeds.

    >>> import torch
    >>> metric = SSCDGen(over="mean")
    >>> metric.update(torch.eye(2)[None], torch.eye(2)[None])
    >>> metric.compute()["value"]
    1.0
    """

    full_state_update = False
    higher_is_better = None
    similarity: list[Tensor]

    def __init__(self, over: Over = "max", seed: int = 0, confidence: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.over, self.seed, self.confidence = over, seed, confidence
        self.add_state("similarity", [], dist_reduce_fx="cat")

    def update(self, mitigated: Tensor, unmitigated: Tensor) -> None:
        self.similarity.append(over_seeds(sscd_gen(mitigated, unmitigated), self.over))

    def compute(self) -> Estimate:
        return median_estimate(dim_zero_cat(self.similarity), self.seed, self.confidence)
