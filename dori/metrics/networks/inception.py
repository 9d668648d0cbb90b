"""Inception-v3 features (2,048), for FID and KID that compare with published ones."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dori.core.errors import InputError
from dori.core.weights import fill, read_state_dict
from dori.metrics.networks.images import check_images
from dori.metrics.networks.inception_v3 import inception_v3, squashed

GIVE = "torch-fidelity's weights-inception-2015-12-05-6726825d.pth"


class InceptionFeatures(nn.Module):
    """Images (n, 3, h, w) in [0, 1] to features (n, 2048), as torch-fidelity's ``inception-v3-compat``.

    Args:
        path: torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth``.
        sha256: the file's hash, or its first digits; by default those that its name carries.
        device: ``meta`` reads no weights: the file is checked, and there are no features.

    Raises:
        InputError: if there is no such file, or it is another one.
    """

    name = "inception-v3-2048"

    def __init__(self, path: str | Path, sha256: str = "6726825d", device: str = "cpu") -> None:
        super().__init__()
        state = read_state_dict(path, GIVE, sha256, device)
        shape, _ = (tuple(state.pop(name, torch.empty(0)).shape) for name in ("fc.weight", "fc.bias"))
        if shape != (1008, 2048):  # the common Inception has 1000 classes, and other pools
            raise InputError(f"{path} has no layer fc of 1008 x 2048 weights, but {shape}: give {GIVE}")
        with torch.device("meta"):  # no random weights that are overwritten at once
            self.network = inception_v3()
        fill(self.network, state, path, GIVE)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "InceptionFeatures":
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 2048) of the images, rounded to the 256 values that a picture's file holds.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        pixels = (images.float().clamp(0, 1) * 255).round()
        features: Tensor = self.network((squashed(pixels) - 128) / 128)
        return features
