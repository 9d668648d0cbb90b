"""A training as small as it can be: three targets, five ordinary pairs, attacks of two steps."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning
import pytest
import torch

from dori.core.config import build
from dori.data import Data, Ordinary, Target
from dori.data.targets import tensor
from dori.defenses import Finetuning
from dori.defenses.training.fit import fit
from dori.defenses.training.material import Material
from dori.diffusion import StableDiffusion
from tests import tiny

SMALL = [
    "defense.attack.steps=2", "defense.warm_steps=2", "defense.attack.pairs=2", "defense.attack.batch=8",
    "defense.epochs=2", "defense.optimizer.lr=5e-4", "defense.batch=2", "defense.updates=2",
    "defense.terms.ordinary.batch=3", "defense.terms.surrogates.pairs=2",
    "defense.validation.attack.steps=1", "defense.validation.attack.pairs=1",
    "defense.save_every=0", "defense.validation.targets=1",
    "defense.validation.images=1", "defense.validation.pairs=1",
]  # fmt: skip
ATTACK, ORDINARY, SURROGATES = "defense.attack.", "defense.terms.ordinary.", "defense.terms.surrogates."
LACKING = {  # what an option does without
    "surrogate": (ATTACK,), "adversarial_only": (ORDINARY,), "plain": (ATTACK, SURROGATES),
    "gradient_ascent": (ATTACK, SURROGATES), **dict.fromkeys(
        ("esd", "concept_ablation", "siss"), (ATTACK, ORDINARY, SURROGATES)
    ),
}  # fmt: skip
Fit = Callable[..., StableDiffusion]


def configured(*words: str, option: str = "adversarial") -> Finetuning:
    """The settings of ``defense=<option>``, made small."""
    given = [word for word in SMALL if not word.startswith(LACKING.get(option, ("-",)))]
    return build(tiny.composed(f"defense={option}", *given, *words).defense)


def material_of(diffusion: StableDiffusion, count: int = 3) -> Material:
    """``count`` targets with two surrogates each, five ordinary pairs and two held-out ones."""
    texts = tiny.prompts(count + 7)
    targets = [Target(f"verbatim/{i}", texts[i], "verbatim", tiny.picture(i)) for i in range(count)]
    pairs = Ordinary(texts[count:], [tiny.picture(50 + i) for i in range(7)])
    latents = diffusion.encode_images(pairs.tensor(diffusion.size, 0, 7))
    images = tensor([tiny.picture(20 + i) for i in range(2 * count)], diffusion.size)
    both = diffusion.encode_images(images).split(2)
    surrogates = {target.name: pair for target, pair in zip(targets, both, strict=True)}
    first = diffusion.encode_images(tensor([t.pixels() for t in targets], diffusion.size)).split(1)
    originals = {target.name: latent for target, latent in zip(targets, first, strict=True)}
    return Material(
        diffusion, diffusion.with_denoiser(diffusion.denoiser_folder), Data(targets, pairs), targets,
        originals, surrogates, pairs.captions[:5], latents[:5],
        pairs.captions[5:], latents[5:],
    )  # fmt: skip


def similarity(images: torch.Tensor, targets: list[Target]) -> torch.Tensor:
    """In place of a descriptor: how bright the images are."""
    return images.float().mean((2, 3, 4)) / 255


@pytest.fixture(scope="session")
def trained(
    make_diffusion: Callable[..., StableDiffusion], trainer: partial[lightning.Trainer]
) -> Callable[..., dict[str, torch.Tensor]]:
    """``trained(folder, settings)``: the weights that come out of a training of a fresh tiny model."""

    def go(folder: Path, settings: Finetuning, prediction: str = "epsilon") -> dict[str, torch.Tensor]:
        diffusion = make_diffusion(prediction)
        material = material_of(diffusion)
        folder.mkdir(exist_ok=True)
        quiet = partial(trainer.func, **{**trainer.keywords, "enable_progress_bar": False})
        measure = partial(settings.validation.measure, material, similarity, 0.5, folder)
        fit(settings, material, measure, quiet, folder, {"defense": {"name": settings.name}}, "training")
        return diffusion.with_denoiser(folder).denoiser.state_dict()

    return go
