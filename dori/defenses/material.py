"""What a defense learns from: encoded once, looked up at every update."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dori.attacks import Attack
from dori.attacks.parts import first_batch
from dori.data import Data, Ordinary, Target
from dori.diffusion import StableDiffusion


@dataclass(frozen=True, eq=False)
class Material:
    """Targets with their surrogates, and ordinary pairs; all latents scaled, on the CPU.

    Args:
        diffusion: the model that is trained; its networks move with the trainer.
        data: what the starts of an attack choose from.
        targets: memorized images that are attacked and forgotten.
        surrogates: of each target by name, latents (k, c, h, w) of the images to learn in its place.
        captions, latents: ordinary pairs to train on, latents (n, c, h, w).
        held_captions, held_latents: ordinary pairs to watch, never trained on.
    """

    diffusion: StableDiffusion
    data: Data
    targets: list[Target]
    surrogates: dict[str, Tensor]
    captions: list[str]
    latents: Tensor
    held_captions: list[str]
    held_latents: Tensor

    def attack(self, attack: Attack, targets: list[Target], warm: Tensor | None = None) -> Tensor:
        """Embeddings (targets * restarts, tokens, width) that an attack finds in the model as it is."""
        (budget,) = attack.budgets
        attempts, size = attack.attempts(targets), first_batch(attack)
        each, parts = max(1, size // attack.pairs), []
        for first in range(0, len(attempts), each):
            some = slice(first, first + each)
            found, size = attack.solve(
                self.diffusion, self.data, attempts[some], [budget], size,
                warm=None if warm is None else warm[some],
            )  # fmt: skip
            parts.append(found[budget]["embeddings"])
        return torch.cat(parts)


def encoded(diffusion: StableDiffusion, ordinary: Ordinary, batch: int = 64) -> Tensor:
    """Latents (n, c, h, w) of ordinary pictures, a batch of them in memory at a time."""
    n, side = len(ordinary.images), diffusion.resolution
    parts = [
        diffusion.encode_images(ordinary.tensor(side, first, min(first + batch, n))).cpu()
        for first in range(0, n, batch)
    ]
    return torch.cat(parts)
