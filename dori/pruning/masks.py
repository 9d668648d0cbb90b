"""Masks: which weights a pruning method selects; layer name -> boolean tensor, True = set to zero."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dori.errors import InputError

Mask = dict[str, Tensor]


def feed_forward_layers(unet: nn.Module) -> dict[str, nn.Linear]:
    """The second linear of every feed-forward, from the first down block to the last up block.

    Sixteen in SD 1.4. Raises InputError where there is none.
    """
    found = {
        name: module
        for name, module in unet.named_modules()
        if name.endswith("ff.net.2") and isinstance(module, nn.Linear)
    }
    if not found:
        raise InputError("the U-Net has no feed-forward layers (ff.net.2): Wanda cannot prune it")
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    names = sorted(found, key=lambda name: order[name.split(".")[0]])  # stable within the blocks
    return {name: found[name] for name in names}


def count(mask: Mask) -> int:
    return sum(int(part.sum()) for part in mask.values())


def save(mask: Mask, path: Path, recipe: dict[str, Any]) -> None:
    """Safetensors of uint8; ``recipe`` says how the mask was found."""
    tensors = {name: part.to(torch.uint8).cpu().contiguous() for name, part in mask.items()}
    save_file(tensors, path, {"recipe": json.dumps(recipe, sort_keys=True)})


def load(path: Path) -> Mask:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name).bool() for name in file.keys()}  # noqa: SIM118


@contextmanager
def pruned(unet: nn.Module, mask: Mask | None) -> Iterator[None]:
    """The masked weights are zero inside; bit for bit what they were outside.

    Raises:
        InputError: a layer that the model lacks, or another shape.
    """
    modules = dict(unet.named_modules())
    kept: dict[str, Tensor] = {}
    for name, part in (mask or {}).items():
        if not isinstance(layer := modules.get(name), nn.Linear):
            raise InputError(f"the mask names layer {name!r}, which the model does not have")
        if layer.weight.shape != part.shape:
            raise InputError(
                f"mask of layer {name!r} has shape {tuple(part.shape)}, the layer {tuple(layer.weight.shape)}"
            )
    try:
        for name, part in (mask or {}).items():
            weight = modules[name].weight
            kept[name] = weight.detach().clone()
            weight.data.masked_fill_(part.to(weight.device), 0)
        yield
    finally:
        for name, weight in kept.items():
            modules[name].weight.data.copy_(weight)
