"""Displacement: how far an attack moved the embedding; nothing is a small change without it."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.intervals import Estimate
from dori.metrics.quantiles import median_estimate
from dori.metrics.sscd import over_seeds


def displacement(y: Tensor, y0: Tensor) -> Tensor:
    """‖y - y0‖₂ / ‖y0‖₂ over the whole sequence, as the attack's budget epsilon measures it.

    Args:
        y: embeddings after the attack (n, tokens, width).
        y0: embeddings where it started (n, tokens, width).

    Returns:
        (n,), float32.

    Raises:
        ValueError: if the shapes differ, or an initial embedding is zero.

    >>> import torch
    >>> y0 = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
    >>> displacement(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]), y0)
    tensor([1.1314])
    """
    if y.ndim != 3 or y.shape != y0.shape:
        raise ValueError(
            f"embeddings of shapes {tuple(y.shape)} and {tuple(y0.shape)}: give both as (n, tokens, width)"
        )
    start = y0.float().flatten(1).norm(dim=1)
    zero = (start == 0).nonzero().flatten().tolist()
    if zero:
        raise ValueError(
            f"the initial embeddings of targets {zero} are zero, so a relative change is "
            "undefined: start those attacks elsewhere, or leave them out"
        )
    return (y.float() - y0.float()).flatten(1).norm(dim=1) / start


class Displacement(Metric):
    """Median over targets of ``displacement``; of a target's restarts their median counts.

    >>> import torch
    >>> metric = Displacement()
    >>> metric.update(2 * torch.ones(3, 4, 5), torch.ones(3, 4, 5))
    >>> metric.compute()
    {'value': 1.0, 'low': None, 'high': None, 'n': 3, 'mad': 0.0}
    """

    full_state_update = False
    higher_is_better = None
    moved: list[Tensor]

    def __init__(self, seed: int = 0, confidence: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed, self.confidence = seed, confidence
        self.add_state("moved", [], dist_reduce_fx="cat")

    def update(self, y: Tensor, y0: Tensor, restarts: int = 1) -> None:
        """Embeddings (targets x restarts, tokens, width), a target's restarts one after the other."""
        self.moved.append(over_seeds(displacement(y, y0).view(-1, restarts), "median"))

    def compute(self) -> Estimate:
        return median_estimate(dim_zero_cat(self.moved), self.seed, self.confidence)
