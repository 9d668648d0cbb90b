"""A denoiser's weights on disk, as diffusers' pipelines load them."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from dori.core.files import as_umask

if TYPE_CHECKING:
    from dori.diffusion.loaded import Loaded


def save_denoiser(model: "Loaded", denoiser: nn.Module, folder: Path, adapters: bool) -> None:
    """Weights and settings; ``adapters`` of peft first as a file of their own, then merged into them."""
    if adapters:
        _save_adapters(model, denoiser, folder)
    denoiser.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]
    as_umask(folder)


def _save_adapters(model: "Loaded", denoiser: nn.Module, folder: Path) -> None:
    """``pytorch_lora_weights.safetensors``, for ``pipeline.load_lora_weights``."""
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(denoiser))
    named = {f"{model.KINDS.denoiser}_lora_layers": layers}
    model.KINDS.pipeline.save_lora_weights(folder, **named, safe_serialization=True)  # type: ignore[attr-defined]
    denoiser.fuse_lora()  # type: ignore[operator]
    denoiser.unload_lora()  # type: ignore[operator]
