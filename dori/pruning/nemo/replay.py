"""Run a denoiser from a layer on: what it computes before is recorded once and replayed.

``parts``: the modules whose outputs may be replayed, as ``Diffusion.replayable`` names them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

Outputs = dict[str, Any]


def record(
    denoiser: nn.Module, parts: list[str], layers: list[str], forward: Callable[[], Any]
) -> tuple[Any, dict[str, Outputs]]:
    """``forward()``, and for each layer the outputs of all that was finished when it was reached."""
    finished: Outputs = {}
    before: dict[str, Outputs] = {}
    modules = dict(denoiser.named_modules())

    def outermost() -> Outputs:
        return {n: out for n, out in finished.items() if not any(n.startswith(f"{o}.") for o in finished)}

    hooks = [
        modules[name].register_forward_hook(lambda _, __, out, name=name: finished.__setitem__(name, out))
        for name in parts
    ] + [
        modules[layer].register_forward_pre_hook(
            lambda _, __, layer=layer: before.__setitem__(layer, outermost())
        )
        for layer in layers
    ]
    try:
        return forward(), before
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replayed(denoiser: nn.Module, outputs: Outputs, samples: list[int], copies: int) -> Iterator[None]:
    """Recorded modules return what they did for some samples, ``copies`` times, one set after another."""

    def repeat(x: Any) -> Any:
        return x[samples].repeat(copies, *[1] * (x.dim() - 1)) if isinstance(x, Tensor) else x

    modules = {name: denoiser.get_submodule(name) for name in outputs}
    for name, module in modules.items():
        answer = pytree.tree_map(repeat, outputs[name])
        module.forward = lambda *_, answer=answer, **__: answer
    try:
        with torch.no_grad():
            yield
    finally:
        for module in modules.values():
            del module.forward
