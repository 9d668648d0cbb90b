"""How a training is watched: on a few targets, attacked anew, and on ordinary pairs never trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dori.attacks import Attack
from dori.attacks.spaces.initial_noise import InitialNoise
from dori.core.errors import InputError, check_positive
from dori.core.files import save_tensors
from dori.core.randomness import generator
from dori.core.ranks import once
from dori.data import Target
from dori.defenses.training.material import Material

# images (n, each, 3, H, W) of n targets -> SSCD_Orig (n, each)
Similarity = Callable[[Tensor, list[Target]], Tensor]


def pictures_file(epoch: int) -> str:
    """In the folder of a training: what the attack on the model of an epoch brought."""
    return f"epoch-{epoch:03d}.safetensors"


def check_attack(key: str, attack: Attack | None) -> None:
    """Raises InputError: an option that is no attack, or an attack that gives more than one result."""
    if attack is not None and not isinstance(attack, Attack):
        raise InputError(f"{key} is no attack; to do without one set {key}=null")
    if attack and isinstance(attack.space, InitialNoise):
        raise InputError(f"{key} moves the initial noise, which leaves nothing to train at: choose another")
    if attack and len(attack.budgets) > 1:
        raise InputError(f"{key} takes one budget: set its epsilons and snapshots to null")


@dataclass(frozen=True)
class Validation:
    """The memorization rate after an attack, and the loss on ordinary pairs; ours.

    Their sum is the score by which epochs are compared: the rate, plus the relative rise of the loss
    above the original model's. Lower is better.

    Args:
        attack: on the averaged weights, from its own start; null: none.
        targets: the first so many that are trained on.
        images: of each embedding.
        ordinary: pairs that are held out of the ordinary data.
        pairs: (noise, timestep) draws for each of them.
        every: epochs.
        seed: of the noise on the ordinary pairs, which is the same at every epoch.
    """

    attack: Attack | None
    targets: int = 8
    images: int = 2
    ordinary: int = 128
    pairs: int = 4
    every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("images", "ordinary", "pairs", "every"):
            check_positive(f"defense.validation.{key}", getattr(self, key))
        check_attack("defense.validation.attack", self.attack)

    def measure(
        self, material: Material, similarity: Similarity, threshold: float, folder: Path, epoch: int
    ) -> dict[str, float]:
        """``ordinary_loss``, and with an attack ``MR`` and ``SSCD_Orig`` (median) of the best image.

        Leaves those images (n, 3, H, W) and their SSCD_Orig (n,) in ``folder``, see ``pictures_file``.
        """
        found = {"ordinary_loss": self.ordinary_loss(material)}
        targets = material.targets[: self.targets]
        if self.attack and targets:
            images, best = self.attacked(material, targets, similarity)
            found |= {"MR": float((best > threshold).float().mean()), "SSCD_Orig": float(best.median())}
            kept = {"images": images.contiguous(), "SSCD_Orig": best.float()}
            once(lambda: save_tensors(kept, folder / pictures_file(epoch)))
        return found

    def attacked(
        self, material: Material, targets: list[Target], similarity: Similarity
    ) -> tuple[Tensor, Tensor]:
        """Of each target the image most like its own, uint8 (n, 3, H, W), and its SSCD_Orig (n,)."""
        assert self.attack is not None
        diffusion, attack = material.diffusion, self.attack
        y = material.attack(attack, targets).flatten(0, 1).repeat_interleave(self.images, 0)
        streams = [
            generator(attack.seed, "validation", target.name, j)
            for target, _ in attack.attempts(targets) for j in range(self.images)
        ]  # fmt: skip
        noise = torch.stack([torch.randn(diffusion.latent_shape, generator=stream) for stream in streams])
        images = diffusion.sample(y, noise).unflatten(0, (len(targets), -1))
        best = similarity(images, targets).max(1)
        return images[torch.arange(len(targets)), best.indices], best.values

    @torch.no_grad()
    def ordinary_loss(self, material: Material) -> float:
        """The mean denoising loss on the held-out pairs, on noise that is always the same."""
        diffusion, n = material.diffusion, len(material.held_latents)
        stream, total = generator(self.seed, "validation", "ordinary"), 0.0
        device, dtype = diffusion.device, diffusion.dtype
        parts = torch.arange(n).split(diffusion.batch)
        texts = [diffusion.encode_prompts([material.held_captions[i] for i in p.tolist()]) for p in parts]
        for _ in range(self.pairs):
            noise = torch.randn(material.held_latents.shape, generator=stream)
            t = diffusion.schedule.draw(n, stream)
            for part, y in zip(parts, texts, strict=True):
                loss = diffusion.loss(
                    material.held_latents[part].to(device, dtype), y, noise[part].to(device, dtype),
                    t[part].to(device),
                )  # fmt: skip
                total += float(loss.sum())
        return total / (n * self.pairs)
