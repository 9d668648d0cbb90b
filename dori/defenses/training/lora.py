"""What of the U-Net is trained: the weights of some names, or, an ablation, low-rank adapters alone.

The paper says that adapters do not suffice.
"""

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from torch import nn

from dori.core.errors import InputError
from dori.core.randomness import derive


def add_lora(unet: nn.Module, config: Any, seed: int) -> None:
    """Adapters by peft are all that is trained.

    Raises:
        InputError: the configuration fits no layer of this U-Net.
    """
    with torch.random.fork_rng():  # peft draws from the global generator
        torch.manual_seed(derive(seed, "lora"))
        try:
            unet.add_adapter(config)  # type: ignore[operator]
        except ValueError as error:
            raise InputError(f"defense.lora cannot be used with this model: {error}") from error


def save_lora(unet: UNet2DConditionModel, folder: Path) -> None:
    """``pytorch_lora_weights.safetensors``, for ``pipeline.load_lora_weights``; then merges the adapters."""
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, safe_serialization=True)
    unet.fuse_lora()
    unet.unload_lora()


def choose(unet: torch.nn.Module, pattern: str | None) -> None:
    """Trains the weights in whose names the regular expression is found.

    Raises:
        InputError: in none.
    """
    for name, weight in unet.named_parameters():
        weight.requires_grad_(pattern is None or re.search(pattern, name) is not None)
    if not any(weight.requires_grad for weight in unet.parameters()):
        raise InputError(f"defense.weights: no weight of the U-Net has {pattern!r} in its name; e.g. attn2")
