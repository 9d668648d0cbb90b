"""MR, the memorization rate: the share of prompts that replicate ("Finding DoRI", ICML 2026)."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from dori.metrics.intervals import Estimate, share
from dori.metrics.sscd import Over, over_seeds

THRESHOLD = 0.7


def memorization_rate(
    similarity: Tensor, threshold: float = THRESHOLD, over: Over = "max", confidence: float = 0.95
) -> Estimate:
    """MR = |{i : over_j SSCD_Orig_ij > threshold}| / n, with its Clopper-Pearson interval.

    Args:
        similarity: SSCD_Orig (targets, seeds).
        threshold: counted when strictly above.
        over: ``max`` over seeds (MR) or ``mean`` (MR_mean).

    Returns:
        the share; without any target the value is None and the interval [0, 1].

    Raises:
        ValueError: as ``over_seeds`` and ``clopper_pearson``.

    >>> mr = memorization_rate(torch.tensor([[0.7, 0.1], [0.9, 0.1], [0.1, 0.8], [0.0, 0.0]]))
    >>> mr["value"], round(mr["low"], 3), round(mr["high"], 3), mr["n"]
    (0.5, 0.068, 0.932, 4)
    """
    replicated = over_seeds(similarity, over) > threshold
    return share(int(replicated.sum()), len(replicated), confidence)


class MemorizationRate(Metric):
    """``memorization_rate`` over batches and processes: two counts that add up.

    >>> metric = MemorizationRate(over="mean")
    >>> metric.update(torch.tensor([[0.9, 0.9]]))
    >>> metric.update(torch.tensor([[0.9, 0.1]]))
    >>> metric.compute()["value"]
    0.5
    """

    full_state_update = False
    higher_is_better = None
    replicated: Tensor
    total: Tensor

    def __init__(
        self,
        threshold: float = THRESHOLD,
        over: Over = "max",
        confidence: float = 0.95,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.threshold, self.over, self.confidence = threshold, over, confidence
        self.add_state("replicated", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, similarity: Tensor) -> None:
        replicated = over_seeds(similarity, self.over) > self.threshold
        self.replicated += replicated.sum()
        self.total += len(replicated)

    def compute(self) -> Estimate:
        return share(int(self.replicated), int(self.total), self.confidence)
