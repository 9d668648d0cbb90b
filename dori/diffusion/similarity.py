"""How alike two noise differences are: what NeMo's memorization score is made of."""

from collections.abc import Sequence

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
) -> Tensor:
    """MS-SSIM of latents in 0-1, (n, c, h, w) twice -> (n,).

    The defaults are those of NeMo's released code, for latents of 44 x 44 and more. With a Gaussian
    window torchmetrics takes its size from ``sigma`` (11 at 1.5) and ignores ``kernel_size``. Smaller
    latents need ``gaussian=False``, a smaller ``kernel_size`` and fewer ``betas`` (one per scale).

    Args:
        kernel_size: of a window that is no Gaussian, in latents.
        sigma: of a Gaussian window.
        gaussian: the window is a Gaussian, or uniform.
        betas: exponent of each scale.
    """
    return multiscale_structural_similarity_index_measure(
        a, b, gaussian_kernel=gaussian, sigma=sigma, kernel_size=kernel_size, betas=tuple(betas),
        data_range=1.0, reduction="none",
    ).reshape(-1)  # fmt: skip
