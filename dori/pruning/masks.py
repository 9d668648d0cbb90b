"""Masks: which weights are set to zero; layer name -> boolean tensor, True = zero.

Of a layer's weight (out, in) a mask holds either that shape, single weights, or (out,), whole
neurons: their outputs are blocked, bias and all.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dori.core.errors import InputError, unknown
from dori.core.files import save_tensors

Mask = dict[str, Tensor]


def of_neurons(layers: dict[str, nn.Linear], listed: list[list[int]]) -> Mask:
    """Masks (neurons,) of neurons per layer, in the layers' order; one listed twice counts once."""
    mask: Mask = {}
    for (name, layer), neurons in zip(layers.items(), listed, strict=True):
        mask[name] = torch.zeros(layer.out_features, dtype=torch.bool)
        mask[name][neurons] = True
    return mask


def count(mask: Mask) -> int:
    """Selected weights, or neurons."""
    return sum(int(part.sum()) for part in mask.values())


def union(*masks: Mask) -> Mask:
    """What any of them selects; a layer that one lacks is empty there."""
    out: Mask = {}
    for mask in masks:
        for name, part in mask.items():
            out[name] = out[name] | part if name in out else part.clone()
    return out


def intersection(*masks: Mask) -> Mask:
    """What all of them select."""
    names = set.intersection(*(set(mask) for mask in masks))
    out = {name: masks[0][name].clone() for name in masks[0] if name in names}
    for mask in masks[1:]:
        for name in out:
            out[name] &= mask[name]
    return out


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks; 1 where both are empty (Finding DoRI, weights).

    >>> iou({"layer": torch.tensor([True, True, False])}, {"layer": torch.tensor([True, False, True])})
    0.3333333333333333
    """
    either = count(union(a, b))
    return count(intersection(a, b)) / either if either else 1.0


def chance_iou(a: Mask, b: Mask) -> float:
    """IoU to expect of two masks drawn at random with as many weights in each layer as these.

    The ratio of the expected intersection to the expected union.

    >>> chance_iou({"layer": torch.tensor([True, False])}, {"layer": torch.tensor([True, False])})
    0.3333333333333333
    """
    shared = sum(int(a[n].sum()) * int(b[n].sum()) / a[n].numel() for n in a if n in b)
    either = count(a) + count(b) - shared
    return shared / either if either else 1.0


def save(mask: Mask, path: Path, recipe: dict[str, Any]) -> None:
    """Safetensors of uint8; ``recipe`` says how the mask was found."""
    tensors = {name: part.to(torch.uint8).cpu().contiguous() for name, part in mask.items()}
    save_tensors(tensors, path, {"recipe": json.dumps(recipe, sort_keys=True)})


def load(path: Path) -> Mask:
    """Raises InputError where the file is none of safetensors."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name).bool() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read the mask {path}: {error}") from None


def check(denoiser: nn.Module, mask: Mask) -> None:
    """Raises InputError where the mask names a layer that the denoiser lacks, or has another shape."""
    modules = {name: module for name, module in denoiser.named_modules() if isinstance(module, nn.Linear)}
    for name, part in mask.items():
        if name not in modules:
            raise unknown("layer in the mask", name, sorted(modules))
        shape = tuple(modules[name].weight.shape)
        if tuple(part.shape) not in (shape, shape[:1]):
            raise InputError(
                f"mask of layer {name!r} has shape {tuple(part.shape)}, the layer's weights {shape}"
            )


def digest(mask: Mask) -> str:
    """SHA-256, 24 hex digits, of what a mask selects."""
    found = hashlib.sha256()
    for name in sorted(mask):
        found.update(f"{name} {tuple(mask[name].shape)}".encode())
        found.update(mask[name].to(torch.uint8).cpu().numpy().tobytes())
    return found.hexdigest()[:24]


def is_of_neurons(mask: Mask) -> bool:
    """Whether it selects whole neurons only."""
    return all(part.dim() == 1 for part in mask.values())


@contextmanager
def gated(denoiser: nn.Module, gates: dict[str, Tensor]) -> Iterator[None]:
    """Multiply the outputs of layers, row by row: gates (n, neurons) of 0 and 1.

    A call may have several times n rows, one set after the other: both halves of the guidance.
    """

    def hook(gate: Tensor) -> Callable[..., Tensor]:
        return lambda _, __, out: out * gate.repeat(len(out) // len(gate), 1)[:, None].to(out)

    modules = dict(denoiser.named_modules())
    hooks = [modules[name].register_forward_hook(hook(gate)) for name, gate in gates.items()]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def blocked(denoiser: nn.Module, masks: list[Mask]) -> AbstractContextManager[None]:
    """Each of n rows has the neurons of its own mask blocked inside, so that rows of other masks share calls.

    Raises:
        InputError: a layer that the model lacks, or another shape.
    """
    whole, device = union(*masks), next(denoiser.parameters()).device
    check(denoiser, whole)
    gates = {
        name: ~torch.stack([mask.get(name, torch.zeros_like(part)) for mask in masks]).to(device)
        for name, part in whole.items()
    }
    return gated(denoiser, gates)


@contextmanager
def pruned(denoiser: nn.Module, mask: Mask | None) -> Iterator[None]:
    """The masked weights are zero inside; bit for bit what they were outside.

    Raises:
        InputError: a layer that the model lacks, or another shape.
    """
    check(denoiser, mask or {})
    modules = dict(denoiser.named_modules())
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        for name, part in (mask or {}).items():
            layer = modules[name]
            touched = [layer.weight] if part.dim() == 2 or layer.bias is None else [layer.weight, layer.bias]
            for parameter in touched:
                kept.append((parameter, parameter.detach().clone()))
                selected = part.to(parameter.device)
                selected = selected[:, None] if selected.dim() < parameter.dim() else selected
                parameter.data.masked_fill_(selected, 0)
        yield
    finally:
        for parameter, before in kept:
            parameter.data.copy_(before)
