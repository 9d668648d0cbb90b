"""The inner attack: at which embeddings the surrogates are learned, epoch by epoch."""

from dataclasses import replace

import torch
from torch import Tensor

from dori.attacks import Attack
from dori.core.randomness import derive
from dori.data import Target
from dori.defenses.training.material import Material


class Adversary:
    """The embeddings that an attack finds in the model as it is; without one, the prompts' own.

    Args:
        warm_steps: from the second epoch on, so many steps from where the epoch before ended; none:
            the whole attack from its start in every epoch, as published.
    """

    def __init__(self, attack: Attack | None, warm_steps: int | None, seed: int):
        self.attack, self.warm_steps, self.seed = attack, warm_steps, seed
        self.found: dict[str, Tensor] = {}  # target -> (restarts, tokens, width)
        self.evaluations = 0  # samples through the denoiser forward and backward

    def __call__(self, material: Material, targets: list[Target], epoch: int) -> Tensor:
        """(targets, restarts, tokens, width), on the CPU. Each epoch has noise of its own."""
        if self.attack is None:
            return material.diffusion.encode_prompts([t.prompt for t in targets]).cpu()[:, None]
        attack, warm = replace(self.attack, seed=derive(self.seed, "epoch", epoch)), None
        if self.warm_steps and all(target.name in self.found for target in targets):
            attack = replace(attack, steps=self.warm_steps)
            warm = torch.stack([self.found[target.name] for target in targets])
        embeddings = material.attack(attack, targets, warm)
        self.evaluations += attack.evaluations(material.diffusion, len(targets))
        if self.warm_steps:
            self.found |= {t.name: part.clone() for t, part in zip(targets, embeddings, strict=True)}
        return embeddings
