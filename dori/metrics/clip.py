"""CLIP for alignment (A_CLIP) and, for small models, as the feature network of FID and KID."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from dori.metrics.images import check_images, normalized
from dori.tokenizing import tokenized

OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class CLIPAlignment(nn.Module):
    """Embeddings of images and prompts in one space, both L2-normalised.

    Args:
        path: folder (or hub id) of a transformers CLIPModel with its tokenizer, as safetensors.
        size: side of the square input; None takes the model's own.
        mean, std: per channel, as the model was trained; OpenAI's by default.

    Raises:
        FileNotFoundError: if there is no such folder, or it lacks the safetensors or the tokenizer.
        ValueError: if the weights do not fill the model.
    """

    def __init__(
        self,
        path: str | Path,
        size: int | None = None,
        mean: Sequence[float] = OPENAI_MEAN,
        std: Sequence[float] = OPENAI_STD,
    ) -> None:
        super().__init__()
        try:
            # transformers' annotation leaves out the pair that output_loading_info gives
            model, info = cast(
                tuple[CLIPModel, dict[str, Any]],
                CLIPModel.from_pretrained(path, use_safetensors=True, output_loading_info=True),
            )
            self.tokenizer = CLIPTokenizer.from_pretrained(path)
        except OSError as error:
            raise FileNotFoundError(
                f"no CLIP at {path}: give the folder of a CLIPModel with config.json, "
                f"model.safetensors (a .bin is not read) and its tokenizer\n{error}"
            ) from error
        unfilled = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
        if unfilled:
            raise ValueError(f"{path} does not fill its CLIPModel, {unfilled[:4]} are missing: save it whole")
        self.model = model.eval().requires_grad_(False)
        self.size = size or cast(int, self.model.config.vision_config.image_size)
        self.mean, self.std = tuple(mean), tuple(std)
        self.name = f"{Path(path).name}@{self.size}"

    def train(self, mode: bool = True) -> "CLIPAlignment":
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """``image_features``: as the feature network of FID and KID."""
        return self.image_features(images)

    @torch.no_grad()
    def image_features(self, images: Tensor) -> Tensor:
        """Images float (n, 3, h, w) in [0, 1] to unit vectors (n, d).

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        pixels = normalized(squared(images.to(self.model.dtype), self.size), self.mean, self.std)
        return F.normalize(self.model.get_image_features(pixel_values=pixels).pooler_output, dim=1)

    @torch.no_grad()
    def text_features(self, prompts: list[str]) -> Tensor:
        """Prompts to unit vectors (n, d); as CLIP does, reads only what fits its context."""
        tokens = tokenized(self.tokenizer, prompts, padding=True, truncation=True, return_tensors="pt")
        tokens = tokens.to(self.model.device)
        features = self.model.get_text_features(tokens.input_ids, tokens.attention_mask)
        return F.normalize(features.pooler_output, dim=1)


def squared(images: Tensor, size: int) -> Tensor:
    """CLIP's preprocessing: the short side to ``size``, bicubic with antialiasing, then the centre.

    >>> squared(torch.rand(2, 3, 40, 20), 10).shape
    torch.Size([2, 3, 10, 10])
    """
    h, w = images.shape[-2:]
    if (h, w) == (size, size):
        return images
    scaled = (round(size * h / min(h, w)), round(size * w / min(h, w)))
    images = F.interpolate(images, scaled, mode="bicubic", antialias=True)
    top, left = (scaled[0] - size) // 2, (scaled[1] - size) // 2
    # bicubic overshoots at edges; 8-bit images, which CLIP saw, end at 0 and 1
    return images[..., top : top + size, left : left + size].clamp(0, 1)
