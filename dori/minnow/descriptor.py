"""Minnow's copy-detection descriptor, by SSCD's recipe (Pizzi et al., CVPR 2022) at 64 pixels.

Contrastive loss over two strongly augmented views, an entropy term that pushes every picture away
from its nearest neighbour, and L2-normalised embeddings. Each batch also holds other drawings of
the same captions as negatives: a picture's *content* in words does not make a copy.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dori.core.files import save_tensors
from dori.core.weights import fill, read_state_dict
from dori.minnow import augment, loop


class Descriptor(nn.Module):
    """Images (n, 3, h, w) in [0, 1] to unit vectors (n, dim); resized to 64 x 64 first.

    ``device``: ``meta`` reads no weights, and nothing can be described.

    Raises:
        InputError: the file at ``path`` cannot be read, or is of another shape.
    """

    name = "minnow-sscd"

    def __init__(self, width: int = 64, dim: int = 128, path: str | None = None, device: str = "cpu"):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for i, out in enumerate((width // 2, width, 2 * width, 2 * width)):
            layers += [nn.Conv2d(channels, out, 3, 2, 1), nn.GroupNorm(8, out), nn.SiLU()]
            if i:
                layers += [nn.Conv2d(out, out, 3, 1, 1), nn.GroupNorm(8, out), nn.SiLU()]
            channels = out
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, dim)
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


def contrastive(z: Tensor, temperature: float, entropy: float) -> Tensor:
    """InfoNCE + ``entropy`` x nearest-neighbour entropy of 2n vectors, views i and i + n a pair."""
    n = len(z) // 2
    similarity = z @ z.T
    itself = torch.eye(2 * n, dtype=torch.bool)
    partner = itself.roll(n, 0)
    logits = (similarity / temperature).masked_fill(itself, -torch.inf)
    loss = F.cross_entropy(logits, torch.arange(2 * n).roll(n))
    nearest = similarity.masked_fill(itself | partner, -1).amax(1)
    return loss - entropy * (2 - 2 * nearest).clamp(min=1e-6).sqrt().log().mean()


def train(pixels: Tensor, redrawn: Tensor, folder: Path, cfg: dict, seed: int) -> Descriptor:
    """Train on ``pixels`` and, as negatives, ``redrawn``: the same captions drawn anew, both uint8."""
    torch.manual_seed(seed)
    model = Descriptor(cfg["width"], cfg["dim"])

    def loss(step: int, generator: torch.Generator) -> Tensor:
        batch = torch.randint(len(redrawn), (cfg["batch"] // 2,), generator=generator)
        x = torch.cat([pixels[batch], redrawn[batch]]).permute(0, 3, 1, 2).float() / 255
        views = torch.cat([augment.strong(x, generator), augment.strong(x, generator)])
        return contrastive(model(views), cfg["temperature"], cfg["entropy"])

    loop.fit(model, loss, folder, steps=cfg["steps"], lr=cfg["lr"], seed=seed, ema=0.99, name="descriptor")
    return model.eval()


def save(model: Descriptor, path: Path) -> None:
    """Write the weights, in half precision."""
    save_tensors({k: v.half().contiguous() for k, v in model.state_dict().items()}, path)
