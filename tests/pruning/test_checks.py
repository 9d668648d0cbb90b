"""What a method wants of a model and of the data is asked when a run is configured, without any weights."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dori.core.errors import InputError
from dori.data import Data, Ordinary, Target
from dori.defenses.guards.sampling import BosAttention
from dori.diffusion import StableDiffusion
from dori.pruning import masks
from dori.pruning.baselines.magnitude import Magnitude
from dori.pruning.baselines.random import Random
from dori.pruning.baselines.saliency import Saliency
from dori.pruning.from_file import FromFile
from dori.pruning.nemo.nemo import NeMo
from dori.pruning.wanda import Wanda
from tests import tiny
from tests.diffusion.folders import edit

Make = Callable[..., StableDiffusion]
CAPTIONS = tiny.prompts(3)
TARGETS = [Target("verbatim/0", CAPTIONS[0], "verbatim", tiny.picture(0))]


def data(captions: list[str] = CAPTIONS) -> Data:
    return Data(TARGETS, Ordinary(captions, [tiny.picture(i) for i in range(len(captions))]), captions)


def similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).abs().mean((1, 2, 3))


@pytest.mark.parametrize(
    "method",
    [
        Wanda(ratio=0.1), Wanda(ratio=0.1, base="ordinary"), NeMo(), Magnitude(ratio=0.1), Random(count=5),
        Saliency(ratio=0.1), Random(like=Wanda(ratio=0.1)), BosAttention("bos"),
    ],
    ids=lambda method: type(method).__name__,
)  # fmt: skip
def test_what_suits_is_taken_and_no_weight_is_read(make_diffusion: Make, method: Any) -> None:
    model = make_diffusion(noise_similarity=similarity)
    method.check(model, data())
    assert "pipeline" not in model.__dict__


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (Wanda(ratio=0.001), "pruning.ratio 0.001 selects no weight"),
        (Wanda(ratio=0.1, steps=1000), "pruning.steps=1000, but the model has 1000 timesteps"),
        (Magnitude(ratio=0.1, layers=["mid_block.nothing"]), "mid_block.nothing"),
        (Magnitude(count=10**9), "count 1000000000 is more than"),
        (Random(like=Wanda(ratio=0.001)), "selects no weight"),
        (NeMo(statistics="none.pt"), "cannot read pruning.statistics none.pt"),
    ],
)
def test_what_does_not_is_refused(make_diffusion: Make, method: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        method.check(make_diffusion(noise_similarity=similarity), data())


@pytest.mark.parametrize("method", [Wanda(ratio=0.1, base="ordinary"), NeMo(), Saliency(ratio=0.1)])
def test_methods_that_compare_with_ordinary_captions_want_some(make_diffusion: Make, method: Any) -> None:
    with pytest.raises(InputError, match="ordinary"):
        method.check(make_diffusion(noise_similarity=similarity), data([]))


def test_nemo_looks_at_a_timestep_that_the_model_has(v_folder: Path) -> None:
    model = StableDiffusion(str(v_folder), name="tiny", noise_similarity=similarity, noise_timestep=1000)
    with pytest.raises(InputError, match="noise_timestep is 1000, but tiny has 1000 timesteps"):
        NeMo().check(model, data())


def test_a_mask_of_another_model_is_refused(make_diffusion: Make, tmp_path: Path) -> None:
    masks.save({"mid_block.other": torch.ones(4, 4, dtype=torch.bool)}, tmp_path / "mask.safetensors", {})
    with pytest.raises(InputError, match=r"mid_block\.other"):
        FromFile(str(tmp_path / "mask.safetensors")).check(make_diffusion(), data())


def test_the_skeleton_is_the_unet_but_for_its_weights(make_diffusion: Make) -> None:
    model = make_diffusion()
    shapes = {name: value.shape for name, value in model.skeleton.state_dict().items()}
    assert shapes == {name: value.shape for name, value in model.denoiser.state_dict().items()}
    assert all(value.is_meta for value in model.skeleton.parameters())


def test_latents_of_the_oldest_folders_are_as_large_as_in_diffusers(v_folder: Path, tmp_path: Path) -> None:
    """They say 32 and mean 64."""
    copy = shutil.copytree(v_folder, tmp_path / "copy")
    edit(copy / "unet/config.json", _diffusers_version="0.2.2", sample_size=32)
    model = StableDiffusion(str(copy), name="tiny")
    assert model.latent_shape == (tiny.LATENTS, 64, 64)
    assert model.pipeline.unet.config.sample_size == 64
