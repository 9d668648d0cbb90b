"""Which layers of a denoiser a method works on, in the order of the forward pass."""

from collections.abc import Callable, Mapping

from torch import nn

from dori.core.errors import InputError, unknown

Choice = Callable[[str], bool]  # of a layer's name: whether it is chosen
# that each family has, or refuses by these names
CHOICES = {
    "feed_forward": "feed-forward layers (ff.net.2)",
    "values": "values of attention to the text",
    "all_values": "values of attention to the text",
}
MORE = {"text_keys": "cross-attention to the text alone, whose beginning is a token (attn2.to_k)"}
FIRST = {
    "down_blocks": 0,
    "mid_block": 1,
    "up_blocks": 2,
    "transformer_blocks": 0,
    "single_transformer_blocks": 1,
}


def layers_of(
    network: nn.Module, choices: Mapping[str, Choice], choice: str | list[str], family: str
) -> dict[str, nn.Linear]:
    """The linear layers of a choice, or of full names.

    Raises:
        InputError: an unknown choice or name, or a network that has no such layer.
    """
    linear = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    if not isinstance(choice, str):
        for name in choice:
            if name not in linear:
                raise unknown("linear layer in pruning.layers", name, sorted(linear))
        return {name: linear[name] for name in ordered(list(choice))}
    if choice not in CHOICES | MORE:
        raise unknown("pruning.layers", choice, tuple(CHOICES))
    names = [name for name in linear if choice in choices and choices[choice](name)]
    if not names:
        raise InputError(
            f"{family} has no {(CHOICES | MORE)[choice]}: choose a method that works on other layers"
        )
    return {name: linear[name] for name in ordered(names)}


def ordered(names: list[str]) -> list[str]:
    """As they run: diffusers registers the up blocks before the mid block; the sort is stable within each."""
    return sorted(names, key=lambda name: FIRST.get(name.split(".")[0], len(FIRST)))
