"""A model's folder is judged before any weight is read, and known by its content alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dori.core.errors import InputError
from dori.diffusion import StableDiffusion

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(v_folder: Path, tmp_path: Path) -> Path:
    """A pipeline's folder that a test may spoil."""
    return shutil.copytree(v_folder, tmp_path / "copy")


def opened(path: Path | str, **settings: object) -> StableDiffusion:
    return StableDiffusion(str(path), name="tiny", **settings)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"model.path '{tmp_path}/none' does not exist"):
        opened(tmp_path / "none")


def test_a_folder_without_an_index_is_no_pipeline(copy: Path) -> None:
    (copy / "model_index.json").unlink()
    with pytest.raises(InputError, match=f"{copy}.*no model_index.json"):
        opened(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component_is_named(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(InputError, match=f"{copy}.*lacks its component '{part}'"):
        opened(copy)


def test_a_scheduler_without_its_settings_is_refused(copy: Path) -> None:
    (copy / "scheduler/scheduler_config.json").unlink()
    with pytest.raises(InputError, match=r"scheduler_config\.json"):
        opened(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_pickled_weights_are_refused(copy: Path, part: str) -> None:
    (weights,) = (copy / part).glob("*.safetensors")
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InputError, match=f"pickled weights only for '{part}'.*safetensors"):
        opened(copy)


def test_a_component_without_weights_is_refused(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"no .*model\.safetensors for 'unet'; found \['config.json'\]"):
        opened(copy)


def test_a_variant_that_the_folder_lacks_is_refused(copy: Path) -> None:
    with pytest.raises(InputError, match=r"no \*\.fp16\.safetensors"):
        opened(copy, variant="fp16")


def test_a_folder_that_has_a_variant_only_is_refused_without_it(copy: Path) -> None:
    for part in ("unet", "vae", "text_encoder"):
        (weights,) = (copy / part).glob("*.safetensors")
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    with pytest.raises(InputError, match="fp16"):
        opened(copy)
    assert opened(copy, variant="fp16").dtype == torch.float32


def test_another_kind_of_prediction_is_refused(copy: Path) -> None:
    path = copy / "scheduler/scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "sample"}))
    with pytest.raises(InputError, match="predicts 'sample'; epsilon and v_prediction"):
        opened(copy)


def test_a_missing_unet_folder_is_refused(v_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}/none"):
        opened(v_folder, denoiser=str(tmp_path / "none"))


def test_the_fingerprint_does_not_depend_on_the_place(v_folder: Path, copy: Path) -> None:
    assert opened(copy).fingerprint == opened(v_folder).fingerprint


def change_weight(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    tensors["conv_in.bias"][0] += 1e-6
    save_file(tensors, copy / WEIGHTS)


def change_schedule(copy: Path) -> None:
    path = copy / "scheduler/scheduler_config.json"
    path.write_text(path.read_text().replace("0.012", "0.013"))


def change_tokenizer(copy: Path) -> None:
    path = copy / "tokenizer/tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 8}))


@pytest.mark.parametrize("change", [change_weight, change_schedule, change_tokenizer])
def test_the_fingerprint_changes_with_the_model(
    v_folder: Path, copy: Path, change: Callable[[Path], None]
) -> None:
    change(copy)
    assert opened(copy).fingerprint != opened(v_folder).fingerprint


def test_what_else_lies_beside_a_unet_makes_no_difference(v_folder: Path, copy: Path) -> None:
    """A trained one lies beside its curve, and how long it took."""
    (copy / "unet/timing.json").write_text("{}")
    assert opened(copy).fingerprint == opened(v_folder).fingerprint


def test_the_fingerprint_changes_with_the_precision(v_folder: Path) -> None:
    assert opened(v_folder, dtype="float16").fingerprint != opened(v_folder).fingerprint
