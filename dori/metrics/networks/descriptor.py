"""The real SSCD descriptor (Pizzi et al., CVPR 2022): ResNet-50, GeM pooling, linear, L2 norm."""

import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from dori.core.errors import InputError
from dori.core.weights import fill, read_state_dict
from dori.metrics.networks.images import check_images, normalized

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
POWER = 3.0
GIVE = (
    "the authors' sscd_disc_mixup.torchvision.pt (a ResNet-50 with 512 dimensions as a plain state dict),"
    " not the .torchscript.pt, the .classy.pt or sscd_disc_large"
)

# torchvision's names, which the published file has, to transformers'
_RENAMING = (
    (r"^backbone\.conv1\.", "backbone.embedder.embedder.convolution."),
    (r"^backbone\.bn1\.", "backbone.embedder.embedder.normalization."),
    (r"^backbone\.fc\.", "embedding."),
    (r"\.downsample\.0\.", ".shortcut.convolution."),
    (r"\.downsample\.1\.", ".shortcut.normalization."),
    (r"\.conv(\d)\.", lambda m: f".layer.{int(m[1]) - 1}.convolution."),
    (r"\.bn(\d)\.", lambda m: f".layer.{int(m[1]) - 1}.normalization."),
    (
        r"^backbone\.layer(\d)\.(\d)\.",
        lambda m: f"backbone.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.",
    ),
)


class SSCDDescriptor(nn.Module):
    """Images (n, 3, h, w) in [0, 1] to unit vectors (n, 512).

    Squashed to ``size`` x ``size``; scores of other sizes or files are not comparable, so reports
    print ``name``, for instance ``sscd_disc_mixup@320``.

    Args:
        path: the authors' ``sscd_disc_mixup.torchvision.pt`` (a plain state dict of a torchvision
            ResNet-50 whose ``fc`` gives the descriptor), or the same as safetensors.
        size: side of the square input; the SSCD paper's own evaluation takes 288.
        sha256: the file's hash, or its first digits, checked before the file is read.
        device: ``meta`` reads no weights: the file is checked, and nothing can be described.

    Raises:
        InputError: if there is no such file, it is another one than ``sha256`` says, TorchScript, or of
            another layout.
    """

    def __init__(
        self, path: str | Path, size: int = 320, sha256: str | None = None, device: str = "cpu"
    ) -> None:
        super().__init__()
        if size < 32:
            raise InputError(f"size {size} is too small for a ResNet-50: give at least 32, as a rule 320")
        self.size = size
        self.name = f"{Path(path).name.split('.')[0]}@{size}"
        state = read_state_dict(path, GIVE, sha256, device)
        with torch.device("meta"):  # no random weights that are overwritten at once
            self.backbone = ResNetModel(ResNetConfig())
            self.embedding = nn.Linear(2048, 512)
        fill(self, {torchvision_to_transformers(key): tensor for key, tensor in state.items()}, path, GIVE)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "SSCDDescriptor":
        """Stays in evaluation mode: a descriptor must not depend on its batch."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Descriptors (n, 512) with GeM pooling (mean_hw x³)^⅓.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        x = F.interpolate(images.float(), (self.size, self.size), mode="bilinear", antialias=True)
        x = self.backbone(normalized(x, IMAGENET_MEAN, IMAGENET_STD)).last_hidden_state
        x = x.clamp(min=1e-6).pow(POWER).mean((2, 3)).pow(1 / POWER)
        return F.normalize(self.embedding(x), dim=1)


def torchvision_to_transformers(key: str) -> str:
    """The name of a published weight in this module.

    >>> torchvision_to_transformers("backbone.layer2.0.bn3.running_mean")
    'backbone.encoder.stages.1.layers.0.layer.2.normalization.running_mean'
    >>> torchvision_to_transformers("backbone.fc.bias")
    'embedding.bias'
    """
    for pattern, replacement in _RENAMING:
        key = re.sub(pattern, replacement, key)
    return key
