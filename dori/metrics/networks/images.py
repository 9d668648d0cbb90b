"""What the image networks of this package take: float images (n, 3, h, w) in [0, 1]."""

from collections.abc import Sequence

from torch import Tensor


def check_images(images: Tensor) -> None:
    """Refuse what would be measured wrongly without a word.

    Raises:
        ValueError: if ``images`` is not floating point, or not of shape (n, 3, h, w).

    >>> import torch
    >>> check_images(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    Traceback (most recent call last):
    ...
    ValueError: images are torch.uint8 of shape (1, 3, 8, 8): give float (n, 3, h, w) in [0, 1]
    """
    if not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images are {images.dtype} of shape {tuple(images.shape)}: give float (n, 3, h, w) in [0, 1]"
        )


def normalized(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(images - mean) / std, per channel.

    >>> import torch
    >>> normalized(torch.ones(1, 3, 1, 1), (0.5, 0.5, 0.5), (0.5, 0.25, 0.125)).flatten()
    tensor([1., 2., 4.])
    """
    return (images - images.new_tensor(mean).view(-1, 1, 1)) / images.new_tensor(std).view(-1, 1, 1)
