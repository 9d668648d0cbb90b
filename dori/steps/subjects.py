"""What passes between the stages of a study: models under test, attacks on them, their images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.data import Target
from dori.diffusion import Diffusion
from dori.pruning import masks
from dori.pruning.masks import Mask, pruned

if TYPE_CHECKING:
    from dori.attacks.budgets import Budget
    from dori.core.stages import Result


@dataclass(frozen=True)
class Subject:
    """A model under test: weights, with masks or without; ``name`` is the rows' setting.

    ``pruning`` and ``defense`` name what was done to it, ``settings`` tell with what, ``made`` is the
    last stage of that; ``guard`` says what acts in its sampler; ``places`` are those of the targets' own
    masks, where each has one.
    """

    name: str
    diffusion: Diffusion
    mask: "Result | None" = None
    pruning: str = "none"
    defense: str = "none"
    made: "Result | None" = None
    settings: dict[str, Any] = field(default_factory=dict)
    guard: Any = None
    places: dict[str, int] = field(default_factory=dict)

    @property
    def evaluations(self) -> int:
        """Samples through the denoiser that making it took."""
        return self.made.info["denoiser_evaluations"] if self.made else 0

    @property
    def inputs(self) -> dict[str, Any]:
        """What its results depend on."""
        mask = self.mask.fingerprint if self.mask else None
        guard = {"guard": self.guard} if self.guard else {}
        # weights that a rehearsal does not have are not those of the model that they are to replace
        trained = self.made if self.made is not self.mask else None
        to_come = {} if trained is None or trained.made else {"made": trained.fingerprint}
        return {"model": self.diffusion.identity, "mask": mask, **guard, **to_come}

    def mask_of(self, target: str | None = None) -> Mask | None:
        """A target's own mask where each has one; else that of all, which ordinary captions get too."""
        if self.mask is None:
            return None
        place = self.places.get(target) if target is not None else None
        name = "mask" if place is None else f"mask-{place:05d}"
        return masks.load(self.mask.folder / f"{name}.safetensors")

    def groups(self, targets: list[Target]) -> list[tuple[Mask | None, list[int]]]:
        """Targets (their places) that share a mask, so that they can share batches."""
        if not self.places:
            return [(self.mask_of(), list(range(len(targets))))]
        whose: dict[int | None, list[int]] = {}
        for place, target in enumerate(targets):
            whose.setdefault(self.places.get(target.name), []).append(place)
        found: dict[str, tuple[Mask | None, list[int]]] = {}
        for places in whose.values():
            mask = self.mask_of(targets[places[0]].name) or {}
            found.setdefault(masks.digest(mask), (mask, []))[1].extend(places)
        return [(mask, sorted(places)) for mask, places in found.values()]

    @contextmanager
    def applied(self, mask: Mask | None = None) -> Iterator[Diffusion]:
        """The model with a mask, by default that of all targets; untouched again afterwards."""
        with pruned(self.diffusion.denoiser, self.mask_of() if mask is None else mask):
            yield self.diffusion


@dataclass(frozen=True)
class Attacked:
    """The result of an attack on a subject: a stage, and the targets in the order of its rows.

    Every target has ``restarts`` rows, one after the other. ``name``: what its triggers are called.
    """

    name: str
    subject: Subject
    targets: list[Target]
    result: "Result"
    budget: "Budget"
    restarts: int

    @cached_property
    def triggers(self) -> dict[str, Tensor]:
        """start, embeddings (n, tokens, width), losses (n, steps), failed (n,); n = targets x restarts.

        Where the attack is watched also steps_to_replication (n,), -1 where there was none.
        """
        return load_file(self.result.folder / "triggers.safetensors")

    def rows(self, places: list[int]) -> Tensor:
        """Where the restarts of the targets at ``places`` are among the triggers."""
        return torch.arange(len(self.targets) * self.restarts).view(-1, self.restarts)[places].flatten()

    @property
    def failed(self) -> dict[str, int]:
        """Targets of which any restart's loss was not finite, with the step at which it happened."""
        steps = self.triggers["failed"].view(-1, self.restarts).amax(1).tolist()
        return {t.name: step for t, step in zip(self.targets, steps, strict=True) if step >= 0}


@dataclass(frozen=True)
class Pictures:
    """``seeds`` images of each prompt in ``texts``, or of an attack's embeddings, by a subject.

    The restarts of an attack share the seeds: each gets as many, on the same noise. ``blank``: names of
    targets of whose kind no picture shows anything.
    """

    setting: str
    subject: Subject
    targets: list[Target]
    texts: list[str]
    result: "Result"
    seeds: int
    attacked: Attacked | None = None
    blank: frozenset[str] = frozenset()
    kind: str = "ordinary"

    @property
    def restarts(self) -> int:
        """How many embeddings each target has."""
        return self.attacked.restarts if self.attacked else 1

    @property
    def without_result(self) -> set[str]:
        """Names of the targets on which the attack failed, or that are ``blank``."""
        return {*self.blank, *(self.attacked.failed if self.attacked else ())}
