"""Guidance from what a model was to what fine-tuning made of it (FineXtract, arXiv 2410.03039)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from dori.defenses.guards.sampling import Unguarded
from dori.diffusion import Diffusion
from dori.steps.subjects import Subject


@dataclass(frozen=True)
class FromBase(Unguarded):
    """Predicts ε_base + w (ε_fine - ε_base) in the place of ε_fine: what was learned, ``scale`` w times."""

    base: Diffusion
    scale: float

    @property
    def samples(self) -> int:
        return self.base.evaluations_per_image

    @contextmanager
    def sampling(self, diffusion: Diffusion) -> Iterator[None]:
        network = self.base.denoiser.to(diffusion.device)

        def towards(module: nn.Module, given: tuple, named: dict[str, Any], output: Any) -> Any:
            """What a network gives is a tuple in some families, and something with a sample in others."""
            other = network(*given, **named)
            if isinstance(output, tuple):
                return (other[0] + self.scale * (output[0] - other[0]), *output[1:])
            output.sample = other.sample + self.scale * (output.sample - other.sample)
            return output

        hook = diffusion.denoiser.register_forward_hook(towards, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def guided(model: Subject, base: Subject, scale: float) -> Subject:
    """The model under that guidance, with its own text encoder."""
    guard = FromBase(f"guidance from {base.diffusion.name}", base.diffusion, scale)
    told = {"guidance from": base.diffusion.identity, "scale": scale}
    return Subject("guided", model.diffusion.guarded(guard), guard=told)
