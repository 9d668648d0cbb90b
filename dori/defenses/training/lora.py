"""What of the denoiser is trained: the weights of some names, or, an ablation, low-rank adapters alone.

The paper says that adapters do not suffice.
"""

import re
from typing import Any

import torch
from torch import nn

from dori.core.errors import InputError
from dori.core.randomness import derive


def add_lora(denoiser: nn.Module, config: Any, seed: int) -> None:
    """Adapters by peft are all that is trained.

    Raises:
        InputError: the configuration fits no layer of this denoiser, or diffusers knows no adapters of it.
    """
    if not hasattr(denoiser, "add_adapter"):
        raise InputError(
            f"defense.lora: diffusers knows no adapters of a {type(denoiser).__name__}: set defense.lora=null"
        )
    with torch.random.fork_rng():  # peft draws from the global generator
        torch.manual_seed(derive(seed, "lora"))
        try:
            denoiser.add_adapter(config)  # type: ignore[operator]
        except ValueError as error:
            raise InputError(f"defense.lora cannot be used with this model: {error}") from error


def choose(denoiser: nn.Module, pattern: str | None) -> None:
    """Trains the weights that are ``matching``, and no others."""
    denoiser.requires_grad_(False)
    for weight in matching(denoiser, pattern).values():
        weight.requires_grad_(True)


def matching(denoiser: nn.Module, pattern: str | None) -> dict[str, nn.Parameter]:
    """The weights in whose names the regular expression is found; without one, all.

    Raises:
        InputError: it is in none.
    """
    named = dict(denoiser.named_parameters())
    found = {n: weight for n, weight in named.items() if pattern is None or re.search(pattern, n)}
    if not found:
        raise InputError(
            f"defense.weights: no weight of the denoiser has {pattern!r} in its name; e.g. attn2, the text's"
            " cross-attention, or attn where there is none"
        )
    return found
