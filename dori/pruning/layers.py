"""Which layers a pruning method works on, in the order of the forward pass."""

from collections.abc import Callable

from torch import nn

from dori.core.errors import InputError, unknown

ORDER = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
CHOICES: dict[str, Callable[[str], bool]] = {
    # Wanda's: the second linear of every feed-forward, sixteen in SD 1.4
    "feed_forward": lambda name: name.endswith("ff.net.2"),
    # NeMo's: values of the text cross-attention in the down blocks and the mid block, seven in SD 1.4
    "values": lambda name: name.endswith("attn2.to_v") and not name.startswith("up_blocks"),
    "all_values": lambda name: name.endswith("attn2.to_v"),
}


def layers_of(unet: nn.Module, choice: str | list[str]) -> dict[str, nn.Linear]:
    """The linear layers of a choice: ``feed_forward``, ``values``, ``all_values``, or full names.

    Raises:
        InputError: an unknown choice or name, or a U-Net that has no such layer.
    """
    linear = {name: module for name, module in unet.named_modules() if isinstance(module, nn.Linear)}
    if not isinstance(choice, str):
        for name in choice:
            if name not in linear:
                raise unknown("linear layer in pruning.layers", name, sorted(linear))
        return {name: linear[name] for name in _ordered(list(choice))}
    if choice not in CHOICES:
        raise unknown("pruning.layers", choice, tuple(CHOICES))
    names = [name for name in linear if CHOICES[choice](name)]
    if not names:
        what = "feed-forward layers (ff.net.2)" if choice == "feed_forward" else "cross-attention (attn2)"
        raise InputError(f"the U-Net has no {what}: choose a pruning that works on other layers")
    return {name: linear[name] for name in _ordered(names)}


def _ordered(names: list[str]) -> list[str]:
    # diffusers registers the up blocks before the mid block; the sort is stable within each
    return sorted(names, key=lambda name: ORDER.get(name.split(".")[0], len(ORDER)))
