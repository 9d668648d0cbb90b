"""CLIP for alignment (A_CLIP) and, for small models, as the feature network of FID and KID."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from dori.core.errors import InputError
from dori.core.tokenizing import tokenized
from dori.metrics.networks.images import check_images, normalized
from dori.metrics.networks.opened import opened

OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class CLIPAlignment(nn.Module):
    """Embeddings of images and prompts in one space, both L2-normalised.

    Args:
        path: folder (or hub id) of a transformers CLIPModel with its tokenizer, as safetensors.
        size: side of the square input; None takes the model's own.
        mean, std: per channel, as the model was trained; OpenAI's by default.
        device: ``meta`` reads no weights: the folder is checked, and there are no features.

    Raises:
        InputError: if there is no such folder, it lacks the safetensors or the tokenizer, or its parts do
            not fit one another or the arguments.
    """

    def __init__(
        self,
        path: str | Path,
        size: int | None = None,
        mean: Sequence[float] = OPENAI_MEAN,
        std: Sequence[float] = OPENAI_STD,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.model, self.tokenizer = opened("CLIP", path, device, CLIPModel, CLIPTokenizer)
        self.model.eval().requires_grad_(False)
        own = cast(int, self.model.config.vision_config.image_size)
        if size not in (None, own):
            raise InputError(
                f"size is {size}, but the CLIP at {path} looks at {own} x {own} pixels: set null"
            )
        self.size = own
        self.context = _check_tokenizer(self.tokenizer, self.model.config.text_config, path)
        _check_processor(Path(path) / "preprocessor_config.json", image_mean=mean, image_std=std)
        self.mean, self.std = tuple(mean), tuple(std)
        self.name = f"{Path(path).name}@{self.size}"

    def train(self, mode: bool = True) -> "CLIPAlignment":
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """``image_features``: as the feature network of FID and KID."""
        return self.image_features(images)

    def image_features(self, images: Tensor) -> Tensor:
        """Images float (n, 3, h, w) in [0, 1] to unit vectors (n, d).

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        return F.normalize(self.image_embeddings(images), dim=1)

    @torch.no_grad()
    def image_embeddings(self, images: Tensor) -> Tensor:
        """The same, as long as CLIP made them: what CLIP-FID is the distance of.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        pixels = normalized(squared(images.to(self.model.dtype), self.size), self.mean, self.std)
        return self.model.get_image_features(pixel_values=pixels).pooler_output

    @torch.no_grad()
    def text_features(self, prompts: list[str]) -> Tensor:
        """Prompts to unit vectors (n, d); as CLIP does, reads only what fits its context."""
        tokens = tokenized(
            self.tokenizer,
            prompts,
            padding=True,
            truncation=True,
            max_length=self.context,
            return_tensors="pt",
        )
        tokens = tokens.to(self.model.device)
        features = self.model.get_text_features(tokens.input_ids, tokens.attention_mask)
        return F.normalize(features.pooler_output, dim=1)


def _check_tokenizer(tokenizer: CLIPTokenizer, text: Any, path: str | Path) -> int:
    """How many tokens the text tower reads."""
    ids = set(tokenizer.get_vocab().values())
    if ids <= set(tokenizer.all_special_ids):  # what transformers makes of a folder without one
        raise InputError(
            f"{path} lacks its tokenizer: put tokenizer.json, or vocab.json and merges.txt, there"
        )
    if max(ids) >= text.vocab_size:
        raise InputError(
            f"the tokenizer at {path} has the token {max(ids)}, but its CLIP {text.vocab_size} rows for"
            " tokens: they belong to two models"
        )
    return min(tokenizer.model_max_length, text.max_position_embeddings)


def _check_processor(path: Path, **given: Sequence[float]) -> None:
    """What a folder says of the model's own preparation of images, where it says anything."""
    told = json.loads(path.read_text()) if path.is_file() else {}
    for key, value in given.items():
        if (own := told.get(key, value)) and [*map(float, own)] != [*map(float, value)]:
            what = key.removeprefix("image_")
            raise InputError(f"{what} is {[*value]}, but {path} says {own}: set {what}={own}")


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
