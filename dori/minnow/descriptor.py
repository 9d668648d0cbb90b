"""Minnow's copy-detection descriptor: a small network that gives SSCD's vectors of minnow's pictures.

How it learns them is in ``dori.minnow.student``; how far it agrees with SSCD (Pizzi et al., CVPR 2022), in
the card of the weights.
"""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from dori.core.files import save_tensors
from dori.core.weights import fill, read_state_dict


class Descriptor(nn.Module):
    """Images (n, 3, h, w) in [0, 1] to unit vectors (n, dim); resized to 64 x 64 first.

    ``device``: ``meta`` reads no weights, and nothing can be described.

    Raises:
        InputError: the file at ``path`` cannot be read, or is of another shape.
    """

    name = "minnow-sscd@64"

    def __init__(self, width: int = 64, dim: int = 512, path: str | None = None, device: str = "cpu"):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for i, out in enumerate((width // 2, width, 2 * width, 4 * width)):
            layers += [nn.Conv2d(channels, out, 3, 2, 1), nn.GroupNorm(8, out), nn.SiLU()]
            if i:
                layers += [nn.Conv2d(out, out, 3, 1, 1), nn.GroupNorm(8, out), nn.SiLU()]
            channels = out
        # wider than the vectors, or these would fill a subspace alone, which SSCD's do not
        layers += [nn.Conv2d(channels, 16 * width, 1), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(16 * width, dim)
        if path is not None:
            give = f"the weights of a Descriptor of width {width} and dim {dim}"
            fill(self, read_state_dict(path, give, device=device), path, give)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != (64, 64):
            images = F.interpolate(images, (64, 64), mode="bilinear", antialias=True)
        x = self.features(2 * images - 1)
        # generalised-mean pooling, p = 3
        x = x.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)
        return F.normalize(self.head(x), dim=1)


def save(model: Descriptor, path: Path) -> None:
    """Write the weights, in half precision."""
    save_tensors({k: v.half().contiguous() for k, v in model.state_dict().items()}, path)
