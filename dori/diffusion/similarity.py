"""How alike two noise differences are: what NeMo's memorization score is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure


def ms_ssim(
    a: Tensor,
    b: Tensor,
    *,
    kernel_size: int = 11,
    sigma: float = 1.5,
    gaussian: bool = True,
    betas: Sequence[float] = (0.33, 0.33, 0.33),
    data_range: float | None = 1.0,
) -> Tensor:
    """MS-SSIM of latents in 0-1, (n, c, h, w) twice -> (n,), each sample by itself.

    Window and scales are by default those of NeMo's released code, for latents of 44 x 44 and more. With a
    Gaussian window torchmetrics takes its size from ``sigma`` (11 at 1.5) and ignores ``kernel_size``.
    Smaller latents need ``gaussian=False``, a smaller ``kernel_size`` and fewer ``betas`` (one per scale).

    Args:
        kernel_size: of a window that is no Gaussian, in latents.
        sigma: of a Gaussian window.
        gaussian: the window is a Gaussian, or uniform.
        betas: exponent of each scale.
        data_range: of the latents; ``None``: taken from all samples of the call, see ``Released``.
    """
    return multiscale_structural_similarity_index_measure(
        a, b, gaussian_kernel=gaussian, sigma=sigma, kernel_size=kernel_size, betas=tuple(betas),
        data_range=data_range, reduction="none",
    ).reshape(-1)  # fmt: skip


@dataclass(frozen=True)
class Released:
    """MS-SSIM as NeMo's released code calls it: without a data range.

    torchmetrics then takes maximum - minimum of the whole call, anew at every scale: 1 at the first,
    less after each pooling. A sample's similarity thus depends on the samples beside it: for the filter of
    seeds all pairs of a prompt are one call, afterwards all of its kept seeds with one mask. Near the
    published threshold, 0.428, scores are 0.05 to 0.06 below those of ``ms_ssim``: it belongs to this
    form alone.

    Args:
        kernel_size, sigma, gaussian, betas: see ``ms_ssim``.
    """

    kernel_size: int = 11
    sigma: float = 1.5
    gaussian: bool = True
    betas: Sequence[float] = (0.33, 0.33, 0.33)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return ms_ssim(a, b, **vars(self), data_range=None)

    def at_least(self, a: Tensor, b: Tensor) -> Tensor:
        """What the first m of n samples have at least, (m,), of all ``a`` (n, c, h, w) and their own ``b``.

        A range grows with the samples that it is of, and the similarity with the range, which adds the same
        to both sides of fractions of at most 1: so copies of known samples stand in for the others.
        """
        return self(a, torch.cat([b, b[:1].expand(len(a) - len(b), -1, -1, -1)]))[: len(b)]
