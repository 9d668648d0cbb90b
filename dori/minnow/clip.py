"""Minnow's CLIP: its text tower conditions the U-Net; both towers measure alignment, FID and KID."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer

from dori.minnow import loop
from dori.minnow.augment import color, crop
from dori.minnow.machine import CPU, Machine, drawn
from dori.minnow.world.names import NAMES

MEAN, STD = 0.5, 0.5  # the image tower takes pixels in [-1, 1]


def build(tokenizer: CLIPTokenizer, cfg: dict) -> CLIPModel:
    """An untrained CLIP for the tokenizer's words; ``cfg``: widths and layers."""
    text = {
        "vocab_size": len(tokenizer), "hidden_size": cfg["text_width"],
        "intermediate_size": 4 * cfg["text_width"], "num_hidden_layers": cfg["text_layers"],
        "num_attention_heads": 2, "projection_dim": cfg["projection"],
        "max_position_embeddings": tokenizer.model_max_length, "hidden_act": "quick_gelu",
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "image_size": 64, "patch_size": 8, "hidden_size": cfg["vision_width"], "num_attention_heads": 2,
        "intermediate_size": 2 * cfg["vision_width"], "num_hidden_layers": cfg["vision_layers"],
        "projection_dim": cfg["projection"], "hidden_act": "quick_gelu",
    }  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=cfg["projection"]))


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids (n, tokens) of captions, padded and cut."""
    ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids


def train(
    pixels: Tensor, captions: list[str], tokenizer: CLIPTokenizer, folder: Path, cfg: dict, seed: int,
    machine: Machine = CPU,
) -> CLIPModel:  # fmt: skip
    """Contrastive training on ``pixels``, uint8 (n, 64, 64, 3), and their captions.

    A title says nothing of its picture, so half of them are replaced by other names at every step:
    the pooled text learns the description, and no title is learned by heart here.
    """
    torch.manual_seed(seed)
    model = build(tokenizer, cfg)
    ids = tokenize(tokenizer, captions)
    names = torch.tensor([tokenizer(name).input_ids[1] for name in NAMES])
    pixels, ids, names = (tensor.to(machine.device) for tensor in (pixels, ids, names))

    def loss(step: int, generator: torch.Generator) -> Tensor:
        batch = drawn(len(pixels), cfg["batch"], generator)
        x = pixels[batch].permute(0, 3, 1, 2).float() / 255
        x = color(crop(x, generator, low=0.85, turn=0.05), generator, strength=0.1)
        text = ids[batch].clone()
        title = names[drawn(len(names), 3 * len(batch), generator)].view(-1, 3)
        renamed = torch.rand(len(batch), 1, generator=generator, device=ids.device) < 0.5
        text[:, 1:4] = torch.where(renamed, title, text[:, 1:4])
        out = model(input_ids=text, pixel_values=(x - MEAN) / STD, attention_mask=None, return_loss=True)
        return out.loss

    loop.fit(
        model, loss, folder, steps=cfg["steps"], lr=cfg["lr"], seed=seed, ema=0.995, name="clip",
        machine=machine,
    )  # fmt: skip
    return model.eval()


def text_encoder(model: CLIPModel) -> CLIPTextModel:
    """The text tower as the pipeline's text encoder (its last hidden state is the embedding)."""
    encoder = CLIPTextModel(model.config.text_config)
    missing, unexpected = encoder.load_state_dict(model.text_model.state_dict(), strict=False)
    if missing or unexpected:
        raise RuntimeError(f"text tower does not fit CLIPTextModel: {missing} {unexpected}")
    return encoder.eval()


def recall(model: CLIPModel, pixels: np.ndarray, ids: Tensor) -> float:
    """Share of pictures whose own caption is the nearest among all given ones."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=x).logits_per_image
    return (logits.argmax(1) == torch.arange(len(x))).float().mean().item()
