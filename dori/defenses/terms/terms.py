"""What a defense minimises: a sum of terms, each with samples of its own at every update.

A term draws samples (tensors of one length n, by name) and gives a loss per sample, (n,). The mean
over its samples, times its ``weight``, is added to those of the other terms. Its draws derive from
the number of the update, so that they need no memory of what came before.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from dori.core.errors import InputError, check_positive
from dori.core.randomness import generator
from dori.data import Target
from dori.defenses.training.material import Material
from dori.diffusion import Diffusion

Samples = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One update of the weights.

    Args:
        number: counted over the whole training.
        targets: of the attack that came before it.
        embeddings: (targets, restarts, tokens, width), where their surrogates are learned.
    """

    seed: int
    number: int
    targets: list[Target]
    embeddings: Tensor


class Term(Protocol):
    """One part of the loss."""

    uses_surrogates: ClassVar[bool]

    @property
    def weight(self) -> float:
        """Of its mean in the sum of the terms."""
        ...

    def draw(self, material: Material, step: Step) -> Samples:
        """The samples of an update, tensors of one length n, on the CPU."""
        ...

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        """The loss of each sample, (n,); gradients reach the model's weights."""
        ...


def together(**terms: Term | None) -> dict[str, Term]:
    """The terms of a loss by their names; one that is null is left out.

    Raises:
        InputError: all are.
    """
    if not (used := {name: term for name, term in terms.items() if term is not None}):
        raise InputError("defense.terms are all null: there is nothing to minimise")
    return used


@runtime_checkable
class Counted(Protocol):
    """A term that says beforehand how many samples of an update it takes, for so many targets."""

    def samples(self, targets: int) -> int: ...


@dataclass(frozen=True)
class OrdinaryTerm:
    """The denoising loss on ordinary image-caption pairs: what the model is not to forget.

    Args:
        batch: pairs of an update.
        empty_prompts: share of them that are shown without their caption, so that guidance keeps its
            unconditional half; ours.
        weight: of its mean in the sum of the terms.
    """

    uses_surrogates: ClassVar[bool] = False
    batch: int
    empty_prompts: float = 0.1
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.ordinary.batch", self.batch)

    def samples(self, targets: int) -> int:
        """Of an update, for so many targets."""
        return self.batch

    def draw(self, material: Material, step: Step) -> Samples:
        stream = generator(step.seed, "ordinary", step.number)
        who = torch.randint(len(material.latents), (self.batch,), generator=stream)
        drop = torch.rand(self.batch, generator=stream) < self.empty_prompts
        z = material.latents[who]
        texts = ["" if gone else material.captions[i] for i, gone in zip(who.tolist(), drop, strict=True)]
        noise = torch.randn(z.shape, generator=stream)
        t = material.diffusion.schedule.draw(self.batch, stream)
        return {"z": z, "y": material.diffusion.encode_prompts(texts).cpu(), "noise": noise, "t": t}

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        return diffusion.training_loss(**samples)


@dataclass(frozen=True)
class SurrogateTerm:
    """The denoising loss on surrogates at the embeddings that an attack found (Finding DoRI, section 5).

    Args:
        pairs: (surrogate, noise, timestep) draws per embedding.
        weight: of its mean in the sum of the terms.
    """

    uses_surrogates: ClassVar[bool] = True
    pairs: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.surrogates.pairs", self.pairs)

    def samples(self, targets: int) -> int:
        """Of an update, for so many targets."""
        return targets * self.pairs

    def draw(self, material: Material, step: Step) -> Samples:
        parts = []
        for target, found in zip(step.targets, step.embeddings, strict=True):
            stream = generator(step.seed, "surrogate", target.name, step.number)
            count = len(found) * self.pairs
            z = material.some_surrogates(target, count, stream)
            parts.append({
                "z": z, "y": found.repeat_interleave(self.pairs, 0),
                "noise": torch.randn(z.shape, generator=stream),
                "t": material.diffusion.schedule.draw(count, stream),
            })  # fmt: skip
        return joined(parts)

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        return diffusion.training_loss(**samples)


def joined(parts: list[Samples]) -> Samples:
    """The samples of several targets as one batch."""
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def prompts_of(material: Material, step: Step) -> Tensor:
    """Embeddings (targets, tokens, width) of the targets' own prompts, on the CPU."""
    return material.diffusion.encode_prompts([target.prompt for target in step.targets]).cpu()


def noised(material: Material, step: Step, target: Target, z: Tensor) -> Samples:
    """Noise and timesteps for a target's latents (n, c, h, w), the same in any company."""
    stream = generator(step.seed, "noise", target.name, step.number)
    noise = torch.randn(z.shape, generator=stream)
    t = material.diffusion.schedule.draw(len(z), stream)
    return {"noise": noise, "t": t}
