"""Networks from their files, with nothing missing and nothing left over."""

from pathlib import Path

import diffusers
import torch
from diffusers import SchedulerMixin
from torch import nn
from transformers import PreTrainedModel

from dori.core.errors import InputError
from dori.diffusion.checks.headers import read_json
from dori.diffusion.checks.schedule import scheduler_kind
from dori.diffusion.files import Part

ADAPTERS = ("lora", "base_layer", "adapter", "hada_", "_ip.")  # what their weights' names have in them


def load_scheduler(folder: Path) -> SchedulerMixin:
    """As the pipeline has it; it is saved with the model, and its settings are what models are sampled by."""
    return getattr(diffusers, scheduler_kind(folder)).from_pretrained(folder / "scheduler")


def load_skeleton(part: Part) -> nn.Module:
    """A network without its weights: its settings, layers' names and shapes."""
    with torch.device("meta"):
        return part.kind.from_config(read_json(part.config))  # type: ignore[attr-defined]


def load_network(part: Part, dtype: torch.dtype) -> nn.Module:
    """In evaluation mode, without gradients.

    Raises:
        InputError: weights that are missing or unexpected, which the libraries only warn of; or whatever
            else they cannot load.
    """
    given = {"dtype" if issubclass(part.kind, PreTrainedModel) else "torch_dtype": dtype}
    try:
        network, told = part.kind.from_pretrained(  # type: ignore[attr-defined]
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
    kind = part.kind.__name__
    told = [
        f"{what} {len(names)} weights, e.g. {min(names)}"
        for what, names in (("lacks", missing), ("has unknown", unexpected))
        if names
    ]
    whole = f"{part.name}: of a {kind} as its config.json describes it, {part.folder} {' and '.join(told)}"
    if any(word in name.lower() for name in unexpected for word in ADAPTERS):
        return f"{whole}: adapters are still in it; fuse and unload them (fuse_lora, unload_lora), then save"
    return f"{whole}: download it whole, or save it again with the config.json that it was made with"
