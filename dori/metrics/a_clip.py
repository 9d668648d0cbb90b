"""A_CLIP: how well an image fits its prompt, as CLIP sees it (ViT-B/32 in "Finding NeMo")."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from dori.metrics.intervals import Estimate, mean_estimate


def a_clip(image_features: Tensor, text_features: Tensor) -> Tensor:
    """Cosine of CLIP's embeddings of an image and its prompt: i·t / (‖i‖₂ ‖t‖₂).

    Args:
        image_features: (n, d).
        text_features: (n, d), of the same prompts in the same order.

    Returns:
        alignments (n,), float32; A_CLIP is their mean.

    Raises:
        ValueError: if the shapes differ.

    >>> import torch
    >>> a_clip(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([1., 0.])
    """
    if image_features.ndim != 2 or image_features.shape != text_features.shape:
        raise ValueError(
            f"image features {tuple(image_features.shape)} and text features "
            f"{tuple(text_features.shape)}: give (n, d), one image per prompt, of one CLIP"
        )
    return F.cosine_similarity(image_features.float(), text_features.float(), dim=-1)


class ACLIP(Metric):
    """Mean of ``a_clip`` with its interval over prompts.

    >>> import torch
    >>> metric = ACLIP()
    >>> metric.update(torch.eye(2), torch.eye(2))
    >>> metric.compute()
    {'value': 1.0, 'low': None, 'high': None, 'n': 2}
    """

    full_state_update = False
    higher_is_better = True
    alignment: list[Tensor]

    def __init__(self, confidence: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.confidence = confidence
        self.add_state("alignment", [], dist_reduce_fx="cat")

    def update(self, image_features: Tensor, text_features: Tensor) -> None:
        self.alignment.append(a_clip(image_features, text_features))

    def compute(self) -> Estimate:
        return mean_estimate(dim_zero_cat(self.alignment), self.confidence)
