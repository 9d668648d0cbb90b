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

    Images carry the index of their caption: features are put into its order, whatever the batches and the
    number of processes, and where both samples have the same captions, they are paired by them.

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
        groups: int = 20,
        confidence: float = 0.95,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
        generated, captions = _in_order(self.generated, self.generated_index)
        reference, others = _in_order(self.reference, self.reference_index)
        paired = captions.equal(others)
        return {
            "FID": fid(generated, reference, paired, self.groups, self.confidence),
            "KID": kid(generated, reference, paired, self.confidence),
        }


def _in_order(features: list[Tensor], index: list[Tensor]) -> tuple[Tensor, Tensor]:
    captions, order = dim_zero_cat(index).sort(stable=True)
    return dim_zero_cat(features).reshape(len(order), -1)[order], captions
