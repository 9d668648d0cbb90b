"""Inception-v3 up to its features, as FID measures with it.

The architecture of Szegedy et al. (arXiv 1512.00567) as Google's release of 2015-12-05 has it, with whose
weights FID was published (Heusel et al., NeurIPS 2017). It differs from ImageNet's common one: average pools
do not count their padding, the last block pools by the maximum, and pictures are scaled as TensorFlow 1 did.
Layers are called as in the file of these weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 299


class Convolution(nn.Module):
    """Without a bias, normalised, rectified; it keeps the size, but for ``stride`` and ``pad``."""

    def __init__(
        self, channels: int, out: int, size: int | tuple[int, int], stride: int = 1, pad: int | None = None
    ) -> None:
        super().__init__()
        h, w = (size, size) if isinstance(size, int) else size
        padding = (h // 2, w // 2) if pad is None else pad
        self.conv = nn.Conv2d(channels, out, (h, w), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Block(nn.Module):
    """Branches over one input, whose channels are laid side by side.

    ``branches``: names of layers, one after the other; those with a ``|`` between them lie side by side.
    """

    def __init__(self, *branches: str, **layers: nn.Module) -> None:
        super().__init__()
        self.branches = branches
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._along(branch, x) for branch in self.branches], 1)

    def _along(self, branch: str, x: Tensor) -> Tensor:
        for step in branch.split():
            x = torch.cat([self.get_submodule(name)(x) for name in step.split("|")], 1)
        return x


def _average() -> nn.Module:
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def _a(channels: int, pooled: int) -> Block:
    return Block(
        "branch1x1", "branch5x5_1 branch5x5_2", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
        "pool branch_pool",
        branch1x1=Convolution(channels, 64, 1),
        branch5x5_1=Convolution(channels, 48, 1), branch5x5_2=Convolution(48, 64, 5),
        branch3x3dbl_1=Convolution(channels, 64, 1), branch3x3dbl_2=Convolution(64, 96, 3),
        branch3x3dbl_3=Convolution(96, 96, 3),
        pool=_average(), branch_pool=Convolution(channels, pooled, 1),
    )  # fmt: skip


def _b(channels: int) -> Block:
    return Block(
        "branch3x3", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", "pool",
        branch3x3=Convolution(channels, 384, 3, 2, 0),
        branch3x3dbl_1=Convolution(channels, 64, 1), branch3x3dbl_2=Convolution(64, 96, 3),
        branch3x3dbl_3=Convolution(96, 96, 3, 2, 0), pool=nn.MaxPool2d(3, 2),
    )  # fmt: skip


def _c(channels: int, inner: int) -> Block:
    return Block(
        "branch1x1", "branch7x7_1 branch7x7_2 branch7x7_3",
        "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5", "pool branch_pool",
        branch1x1=Convolution(channels, 192, 1),
        branch7x7_1=Convolution(channels, inner, 1), branch7x7_2=Convolution(inner, inner, (1, 7)),
        branch7x7_3=Convolution(inner, 192, (7, 1)),
        branch7x7dbl_1=Convolution(channels, inner, 1), branch7x7dbl_2=Convolution(inner, inner, (7, 1)),
        branch7x7dbl_3=Convolution(inner, inner, (1, 7)), branch7x7dbl_4=Convolution(inner, inner, (7, 1)),
        branch7x7dbl_5=Convolution(inner, 192, (1, 7)),
        pool=_average(), branch_pool=Convolution(channels, 192, 1),
    )  # fmt: skip


def _d(channels: int) -> Block:
    return Block(
        "branch3x3_1 branch3x3_2", "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4", "pool",
        branch3x3_1=Convolution(channels, 192, 1), branch3x3_2=Convolution(192, 320, 3, 2, 0),
        branch7x7x3_1=Convolution(channels, 192, 1), branch7x7x3_2=Convolution(192, 192, (1, 7)),
        branch7x7x3_3=Convolution(192, 192, (7, 1)), branch7x7x3_4=Convolution(192, 192, 3, 2, 0),
        pool=nn.MaxPool2d(3, 2),
    )  # fmt: skip


def _e(channels: int, pool: nn.Module) -> Block:
    return Block(
        "branch1x1", "branch3x3_1 branch3x3_2a|branch3x3_2b",
        "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a|branch3x3dbl_3b", "pool branch_pool",
        branch1x1=Convolution(channels, 320, 1),
        branch3x3_1=Convolution(channels, 384, 1),
        branch3x3_2a=Convolution(384, 384, (1, 3)), branch3x3_2b=Convolution(384, 384, (3, 1)),
        branch3x3dbl_1=Convolution(channels, 448, 1), branch3x3dbl_2=Convolution(448, 384, 3),
        branch3x3dbl_3a=Convolution(384, 384, (1, 3)), branch3x3dbl_3b=Convolution(384, 384, (3, 1)),
        pool=pool, branch_pool=Convolution(channels, 192, 1),
    )  # fmt: skip


def inception_v3() -> Block:
    """Pixels (n, 3, 299, 299) in [-1, 1] to features (n, 2048)."""
    layers: dict[str, nn.Module] = {
        "Conv2d_1a_3x3": Convolution(3, 32, 3, 2, 0), "Conv2d_2a_3x3": Convolution(32, 32, 3, 1, 0),
        "Conv2d_2b_3x3": Convolution(32, 64, 3), "MaxPool_1": nn.MaxPool2d(3, 2),
        "Conv2d_3b_1x1": Convolution(64, 80, 1), "Conv2d_4a_3x3": Convolution(80, 192, 3, 1, 0),
        "MaxPool_2": nn.MaxPool2d(3, 2),
        "Mixed_5b": _a(192, 32), "Mixed_5c": _a(256, 64), "Mixed_5d": _a(288, 64), "Mixed_6a": _b(288),
        "Mixed_6b": _c(768, 128), "Mixed_6c": _c(768, 160), "Mixed_6d": _c(768, 160),
        "Mixed_6e": _c(768, 192),
        "Mixed_7a": _d(768), "Mixed_7b": _e(1280, _average()), "Mixed_7c": _e(2048, nn.MaxPool2d(3, 1, 1)),
        "AvgPool": nn.AdaptiveAvgPool2d(1), "Flatten": nn.Flatten(),
    }  # fmt: skip
    return Block(" ".join(layers), **layers)


def squashed(images: Tensor, side: int = SIDE) -> Tensor:
    """To a square as TensorFlow 1 scales: pixel i of it lies at i * length / side, without antialiasing.

    >>> squashed(torch.tensor([0.0, 3.0]).view(1, 1, 1, 2), 3)[0, 0, 0]
    tensor([0., 2., 3.])
    """
    rows, columns = (_weights(length, side).to(images) for length in images.shape[-2:])
    return rows @ images @ columns.T


def _weights(length: int, side: int) -> Tensor:
    """(side, length): of the pixel at or before each place, and of the one after it."""
    places = torch.arange(side) * torch.tensor(length / side)
    low = places.long()
    unit = torch.eye(length)
    return torch.lerp(unit[low], unit[(low + 1).clamp(max=length - 1)], (places - low)[:, None])
