"""Away from the memorized images: what these methods minimise, terms like those of ``terms``.

Both work at the prompts' own embeddings: neither knows of an adversary.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dori.core.errors import InputError, check_positive
from dori.core.randomness import generator
from dori.defenses.terms.terms import Samples, Step, joined, noised, prompts_of
from dori.defenses.training.material import Material
from dori.diffusion import Diffusion


@dataclass(frozen=True)
class AscentTerm:
    """Gradient ascent: the denoising loss on the memorized images at their prompts, made larger.

    Args:
        pairs: (noise, timestep) draws per image.
        most: above this a sample's loss is not raised any more; keeps the sum bounded. Ours.
        weight: of its mean in the sum of the terms.
    """

    uses_surrogates: ClassVar[bool] = False
    pairs: int
    most: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.ascent.pairs", self.pairs)
        check_positive("defense.terms.ascent.most", self.most)

    def samples(self, targets: int) -> int:
        """Of an update, for so many targets."""
        return targets * self.pairs

    def draw(self, material: Material, step: Step) -> Samples:
        parts = []
        for target, y in zip(step.targets, prompts_of(material, step), strict=True):
            z = material.originals[target.name].expand(self.pairs, -1, -1, -1)
            parts.append({"z": z, "y": y.expand(self.pairs, -1, -1), **noised(material, step, target, z)})
        return joined(parts)

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        return -diffusion.training_loss(**samples).clamp(max=self.most)


@dataclass(frozen=True)
class SissTerm:
    """Importance-weighted score subtraction (SISS; Alberti et al., ICLR 2025), equation for 0 < mixture < 1.

    Noised latents come from a mixture around a memorized image a and an image x to keep, here a
    surrogate of the same prompt: the loss towards x minus ``forget`` times that towards a, each weighted
    by its likelihood over the mixture's.

    Args:
        pairs: (noise, timestep) draws per image.
        mixture: the share drawn around the memorized image; lambda, 0.5 in the paper.
        forget: (1 + s) k / (n - k) of the paper, where s follows from gradients' norms; a constant here.
        weight: of its mean in the sum of the terms.
    """

    uses_surrogates: ClassVar[bool] = True
    pairs: int
    mixture: float = 0.5
    forget: float = 0.1
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.siss.pairs", self.pairs)
        if not 0 < self.mixture < 1:
            raise InputError(f"defense.terms.siss.mixture must lie between 0 and 1, but is {self.mixture}")

    def samples(self, targets: int) -> int:
        """Of an update, for so many targets."""
        return targets * self.pairs

    def draw(self, material: Material, step: Step) -> Samples:
        parts = []
        for target, y in zip(step.targets, prompts_of(material, step), strict=True):
            stream = generator(step.seed, "siss", target.name, step.number)
            x = material.some_surrogates(target, self.pairs, stream)
            a = material.originals[target.name].expand_as(x)
            forgotten = torch.rand(self.pairs, generator=stream) < self.mixture
            parts.append({
                "x": x, "a": a, "z": a.where(forgotten[:, None, None, None], x),
                "y": y.expand(self.pairs, -1, -1), **noised(material, step, target, x),
            })  # fmt: skip
        return joined(parts)

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        x, a, z, y, noise, t = (samples[key] for key in ("x", "a", "z", "y", "noise", "t"))
        schedule = diffusion.schedule
        signal, spread = schedule.scales(t, z)
        z_t = schedule.noised(z, noise, t)
        predicted = schedule.as_noise(diffusion.predict(z_t, t, y), z_t, t)
        towards = [(z_t - signal * each) / spread for each in (x, a)]
        likelihood = torch.stack([-0.5 * each.float().square().sum((1, 2, 3)) for each in towards])
        share = likelihood.new_tensor([1 - self.mixture, self.mixture])[:, None]
        ratio = (likelihood - (likelihood + share.log()).logsumexp(0)).exp()
        keep, forget = (
            each * (predicted - to).float().square().mean((1, 2, 3))
            for each, to in zip(ratio, towards, strict=True)
        )
        return keep - self.forget * forget
