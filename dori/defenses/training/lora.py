"""Low-rank adapters in place of all weights: an ablation; the paper says that they do not suffice."""

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
