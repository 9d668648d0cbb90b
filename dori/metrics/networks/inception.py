"""Inception-v3 features (2,048), for FID and KID that compare with published ones."""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from dori.core.errors import InputError
from dori.core.weights import read_state_dict
from dori.metrics.networks.images import check_images

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


class InceptionFeatures(nn.Module):
    """Images (n, 3, h, w) in [0, 1] to features (n, 2048), by torchmetrics' own network.

    Args:
        path: torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth``.
        sha256: the file's hash, or its first digits; by default those that its name carries.
        device: ``meta`` reads no weights: the file is checked, and there are no features.

    Raises:
        InputError: without torch-fidelity, which the extra ``dori[real]`` installs; if there is no such
            file, or it is another one.
    """

    name = "inception-v3-2048"

    def __init__(self, path: str | Path, sha256: str = "6726825d", device: str = "cpu") -> None:
        super().__init__()
        give = f"torch-fidelity's weights, to be downloaded from {URL}"
        state = read_state_dict(path, give, sha256, "meta")
        if (shape := tuple(state.get("fc.weight", torch.empty(0)).shape)) != (1008, 2048):
            raise InputError(f"{path} has no layer fc of 1008 x 2048 weights, but {shape}: give {give}")
        # here and not above: torch-fidelity needs torchvision, which the default install leaves out
        if importlib.util.find_spec("torch_fidelity") is None:
            raise InputError(
                "Inception features need torch-fidelity: pip install 'dori[real]', or take CLIP's with"
                " 'evaluation.features=${evaluation.alignment}'"
            )
        if device == "meta":
            return
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 2048) of the images as the network takes them, in 8 bits.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        features: Tensor = self.network((images.clamp(0, 1) * 255).round().to(torch.uint8))
        return features
