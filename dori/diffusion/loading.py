"""A pipeline from its files, with nothing missing and nothing left over."""

from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from dori.core.errors import InputError
from dori.diffusion.checks.headers import read_json
from dori.diffusion.checks.schedule import scheduler_kind
from dori.diffusion.files import Part

KINDS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
ADAPTERS = ("lora", "base_layer", "adapter", "hada_", "_ip.")  # what their weights' names have in them


def load_pipeline(
    parts: dict[str, Part], folder: Path, tokenizer: CLIPTokenizer, dtype: torch.dtype
) -> StableDiffusionPipeline:
    """Raises InputError: see ``load_network``."""
    return StableDiffusionPipeline(
        **{name: load_network(part, dtype) for name, part in parts.items()},
        tokenizer=tokenizer,
        scheduler=getattr(diffusers, scheduler_kind(folder)).from_pretrained(folder / "scheduler"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def load_skeleton(part: Part) -> UNet2DConditionModel:
    """The U-Net as the pipeline takes it, but for the weights: its settings, layers' names and shapes."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(read_json(part.config))
    nothing = dict.fromkeys(("vae", "text_encoder", "tokenizer", "scheduler", "safety_checker"))
    # which puts right what the oldest folders say of their latents' size
    StableDiffusionPipeline(unet=unet, **nothing, feature_extractor=None, requires_safety_checker=False)
    return unet


def load_network(part: Part, dtype: torch.dtype) -> nn.Module:
    """In evaluation mode, without gradients.

    Raises:
        InputError: weights that are missing or unexpected, which the libraries only warn of; or whatever
            else they cannot load.
    """
    given = {"dtype" if part.name == "text_encoder" else "torch_dtype": dtype}
    try:
        network, told = KINDS[part.name].from_pretrained(
            part.folder, variant=part.variant, use_safetensors=True, output_loading_info=True, **given
        )
    except Exception as error:  # of many kinds: shapes, settings, a library that is not installed
        text = " ".join(str(error).split())[:400]
        raise InputError(f"{part.name}: {part.folder} cannot be loaded: {text}") from error
    missing, unexpected = set(told["missing_keys"]), set(told["unexpected_keys"])
    if missing or unexpected:
        raise InputError(_differing(part, missing, unexpected))
    return network.requires_grad_(False).eval()


def _differing(part: Part, missing: set[str], unexpected: set[str]) -> str:
    kind = KINDS[part.name].__name__
    told = [
        f"{what} {len(names)} weights, e.g. {min(names)}"
        for what, names in (("lacks", missing), ("has unknown", unexpected))
        if names
    ]
    whole = f"{part.name}: of a {kind} as its config.json describes it, {part.folder} {' and '.join(told)}"
    if any(word in name.lower() for name in unexpected for word in ADAPTERS):
        return f"{whole}: adapters are still in it; fuse and unload them (fuse_lora, unload_lora), then save"
    return f"{whole}: download it whole, or save it again with the config.json that it was made with"
