"""The model of an audit with its base: what the files of a LoRA say, and what stands in where they do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from dori.core.errors import InputError
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from dori.studies.audit.model import MINNOW, audited
from tests.diffusion.pipelines import saved
from tests.diffusion.test_lora import written

Open = Callable[..., Family]


@pytest.fixture
def opened(epsilon_folder: Path) -> Open:
    return lambda **told: audited(str(told.pop("path", epsilon_folder)), name="mine", batch=4, **told)


@pytest.fixture
def lora(epsilon_folder: Path, tmp_path: Path) -> Path:
    return written(epsilon_folder, "diffusers", tmp_path / "lora") / "pytorch_lora_weights.safetensors"


@pytest.fixture
def other(epsilon_folder: Path, tmp_path: Path) -> Path:
    """The pipeline of the LoRA's training: other weights of the same architecture."""
    folder = shutil.copytree(epsilon_folder, tmp_path / "other")
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    save_file({name: 1.5 * value for name, value in load_file(file).items()}, file, {"format": "pt"})
    return folder


def fingerprint(path: Path) -> str:
    return pretrained(str(path), name="plain").fingerprint


def said_by_peft(lora: Path, name: str) -> None:
    (lora.parent / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": name}))


def said_by_kohya(lora: Path, name: str) -> None:
    save_file(load_file(lora), lora, {"ss_sd_model_name": name})


def said_by_card(lora: Path, name: str) -> None:
    (lora.parent / "README.md").write_text(f"---\nbase_model: {name}\n---\n")


SAYING = [said_by_peft, said_by_kohya, said_by_card]


def test_a_lora_that_says_nothing_has_the_model_without_it_as_its_base(
    opened: Open, lora: Path, epsilon_folder: Path
) -> None:
    model = opened(lora=str(lora), lora_scale=0.5)
    assert model.twin.fingerprint == fingerprint(epsilon_folder) != model.fingerprint
    assert (
        model.fingerprint
        == pretrained(str(epsilon_folder), name="x", lora=str(lora), lora_scale=0.5).fingerprint
    )


@pytest.mark.parametrize("says", SAYING)
def test_the_base_is_the_one_that_the_lora_names(
    opened: Open, lora: Path, other: Path, epsilon_folder: Path, says: Callable[[Path, str], None]
) -> None:
    says(lora, str(other))
    assert opened(lora=str(lora)).twin.fingerprint == fingerprint(other) != fingerprint(epsilon_folder)
    # what somebody says goes before what files say
    assert opened(lora=str(lora), base=str(epsilon_folder)).twin.fingerprint == fingerprint(epsilon_folder)


@pytest.mark.parametrize("name", ["./gone", "model.safetensors", "/home/somebody/model.ckpt"])
@pytest.mark.parametrize("says", SAYING)
def test_a_base_that_is_not_here_is_the_model_without_the_lora(
    opened: Open, lora: Path, epsilon_folder: Path, says: Callable[[Path, str], None], name: str
) -> None:
    says(lora, name)
    assert opened(lora=str(lora)).twin.fingerprint == fingerprint(epsilon_folder)


def test_without_a_lora_the_card_says_it(opened: Open, other: Path, epsilon_folder: Path) -> None:
    assert opened(path=other).twin is None
    (other / "README.md").write_text(f"---\nbase_model: {epsilon_folder}\n---\n")
    assert opened(path=other).twin.fingerprint == fingerprint(epsilon_folder)


def test_minnow_has_its_twin() -> None:
    model = audited(None, name="minnow")
    assert model.twin.denoiser_folder == MINNOW / "twin/unet"


def test_a_base_of_another_architecture_is_refused(opened: Open, tmp_path: Path) -> None:
    other = saved("xl", tmp_path / "xl")
    with pytest.raises(InputError, match=f"{other}, is of another architecture: set model.base"):
        opened(base=str(other))
