"""A fine-tuning on two ranks is that of one process: attacks dealt out, gradients reduced."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dori.defenses import Finetuning
from dori.defenses.training.fit import fit
from dori.diffusion import StableDiffusion
from tests.core.ranks import Make, on_ranks
from tests.defenses.conftest import configured, material_of, similarity

TOLERANCE = 1e-6  # of weights that a training at a learning rate of 5e-4 has moved
WEIGHTS = "diffusion_pytorch_model.safetensors"


def train(rank: int, make: Make, settings: Finetuning, model: StableDiffusion, folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    material = material_of(model.with_denoiser(model.denoiser_folder))
    measure = partial(settings.validation.measure, material, similarity, 0.5, folder)
    counted = fit(settings, material, measure, make, folder, {"defense": settings.name}, "training")
    assert counted.pop("training_seconds") > 0
    return counted


@pytest.mark.parametrize("words", [
    (), ("defense.updates=1", "defense.micro_batch=1", "defense.warm_steps=1", "defense.batch=3"),
    ("defense.keep=best", "defense.patience=1", "defense.validation.targets=3"),
])  # fmt: skip
def test_two_ranks_train_what_one_process_does(
    make_diffusion: Callable[..., StableDiffusion], trainer: Make, tmp_path: Path, words: tuple[str, ...]
) -> None:
    settings, model = configured(*words), make_diffusion(dtype="float64")
    quiet = partial(trainer, enable_progress_bar=False)
    expected = train(0, quiet, settings, model, tmp_path / "one")
    work = partial(train, settings=settings, model=model, folder=tmp_path / "two")
    assert on_ranks(2, work, tmp_path / "ranks") == [expected, expected]
    files = [sorted(p.name for p in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert files[0] == files[1] and {"config.json", WEIGHTS, "training.json"} < {*files[0]}
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    first = load_file(model.denoiser_folder / WEIGHTS)
    assert any((one[key] - first[key]).abs().max() > 5e-4 for key in one)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=TOLERANCE)


def test_ranks_beyond_the_targets_train_too(
    make_diffusion: Callable[..., StableDiffusion], trainer: Make, tmp_path: Path
) -> None:
    settings, model = configured("defense.batch=1", "defense.epochs=1"), make_diffusion(dtype="float64")
    expected = train(0, partial(trainer, enable_progress_bar=False), settings, model, tmp_path / "one")
    work = partial(train, settings=settings, model=model, folder=tmp_path / "three")
    assert on_ranks(3, work, tmp_path / "ranks") == [expected] * 3
    one, three = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "three"))
    for key, value in one.items():
        torch.testing.assert_close(three[key], value, rtol=0, atol=TOLERANCE)
