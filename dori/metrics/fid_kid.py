"""FID and KID of features gathered over batches and processes by torchmetrics."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.fid import fid
from dori.metrics.intervals import Estimate
from dori.metrics.kid import kid


class FIDKID(Metric):
    """``fid`` and ``kid`` of the same features; the feature network stays outside.

    Images carry the index of their caption: features are put into its order, so that KID draws the
    same subsets whatever the batches and the number of processes.

    >>> import torch
    >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> metric = FIDKID()
    >>> metric.update(x[:30], torch.arange(30), real=True)
    >>> metric.update(x[30:], torch.arange(30), real=False)
    >>> sorted(metric.compute())
    ['FID', 'KID']
    """

    full_state_update = False
    higher_is_better = False
    generated: list[Tensor]
    generated_index: list[Tensor]
    reference: list[Tensor]
    reference_index: list[Tensor]

    def __init__(
        self,
        seed: int = 0,
        subsets: int = 100,
        subset_size: int = 1000,
        groups: int = 20,
        confidence: float = 0.95,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.seed, self.subsets, self.subset_size = seed, subsets, subset_size
        self.groups, self.confidence = groups, confidence
        for name in ("generated", "generated_index", "reference", "reference_index"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, features: Tensor, index: Tensor, real: bool) -> None:
        """Add features (n, d) of real or of generated pictures, and their captions' indices (n,).

        Raises:
            ValueError: if there is not one index per row.
        """
        if features.ndim != 2 or index.shape != features.shape[:1]:
            raise ValueError(
                f"features {tuple(features.shape)} with indices {tuple(index.shape)}: give (n, d) and (n,)"
            )
        # one dimension and one dtype: what a process without any image sends to the others
        values, positions = features.to(self.dtype).flatten(), index.to(self.dtype)
        (self.reference if real else self.generated).append(values)
        (self.reference_index if real else self.generated_index).append(positions)

    def compute(self) -> dict[str, Estimate]:
        generated = _in_order(self.generated, self.generated_index)
        reference = _in_order(self.reference, self.reference_index)
        return {
            "FID": fid(generated, reference, self.groups, self.confidence),
            "KID": kid(generated, reference, self.seed, self.subsets, self.subset_size, self.confidence),
        }


def _in_order(features: list[Tensor], index: list[Tensor]) -> Tensor:
    order: Tensor = dim_zero_cat(index).argsort(stable=True)
    return dim_zero_cat(features).reshape(len(order), -1)[order]
