"""What passes between the stages of a study: models under test, attacks on them, their images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from dori.data import Target
from dori.diffusion import StableDiffusion
from dori.pruning import masks
from dori.pruning.masks import pruned
from dori.stages import Result


@dataclass(frozen=True)
class Subject:
    """A model under test: weights, with a mask or without; ``name`` is the rows' setting."""

    name: str
    diffusion: StableDiffusion
    mask: Result | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """What its results depend on."""
        mask = self.mask.fingerprint if self.mask else None
        return {"model": self.diffusion.fingerprint, "mask": mask}

    @contextmanager
    def applied(self) -> Iterator[StableDiffusion]:
        """The model with its mask applied; untouched again afterwards."""
        mask = masks.load(self.mask.folder / "mask.safetensors") if self.mask else None
        with pruned(self.diffusion.unet, mask):
            yield self.diffusion


@dataclass(frozen=True)
class Attacked:
    """The result of an attack on a subject: a stage, and the targets in the order of its rows."""

    subject: Subject
    targets: list[Target]
    result: Result

    @cached_property
    def triggers(self) -> dict[str, Tensor]:
        """start, embeddings (n, tokens, width), losses (n, steps), failed (n,)."""
        return load_file(self.result.folder / "triggers.safetensors")

    @property
    def failed(self) -> dict[str, int]:
        """Targets whose loss was not finite, with the step at which it happened."""
        steps = self.triggers["failed"].tolist()
        return {t.name: step for t, step in zip(self.targets, steps, strict=True) if step >= 0}


@dataclass(frozen=True)
class Pictures:
    """Images of a subject: of prompts, or of an attack's embeddings; ``texts`` are the prompts."""

    setting: str
    subject: Subject
    targets: list[Target]
    texts: list[str]
    result: Result
    attacked: Attacked | None = None
