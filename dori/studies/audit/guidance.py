"""Guidance from what a model was to what fine-tuning made of it (FineXtract, arXiv 2410.03039)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from dori.defenses.guards.sampling import Unguarded
from dori.diffusion import StableDiffusion
from dori.steps.subjects import Subject


@dataclass(frozen=True)
class FromBase(Unguarded):
    """Predicts ε_base + w (ε_fine - ε_base) in the place of ε_fine: what was learned, ``scale`` w times."""

    base: StableDiffusion
    scale: float

    @property
    def samples(self) -> int:
        return self.base.evaluations_per_image

    @contextmanager
    def sampling(self, diffusion: StableDiffusion) -> Iterator[None]:
        network = self.base.unet.to(diffusion.device)

        def towards(module: nn.Module, given: tuple, named: dict[str, Any], output: Any) -> Any:
            other = network(*given, **named).sample
            output.sample = other + self.scale * (output.sample - other)
            return output

        hook = diffusion.unet.register_forward_hook(towards, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def guided(model: Subject, base: Subject, scale: float) -> Subject:
    """The model under that guidance, with its own text encoder."""
    guard = FromBase(f"guidance from {base.diffusion.name}", base.diffusion, scale)
    told = {"guidance from": base.diffusion.identity, "scale": scale}
    return Subject("guided", model.diffusion.guarded(guard), guard=told)
