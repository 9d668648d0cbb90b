"""A checkpoint in a single file, in the names of the original code, is the model that it was made from."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dori.core.errors import InputError
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from dori.studies.audit.model import audited
from tests import tiny
from tests.diffusion.original import original
from tests.diffusion.pipelines import T5_TOKENS, saved


@pytest.fixture(scope="module")
def described(epsilon_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline's folder without any weight."""
    folder = tmp_path_factory.mktemp("described") / "pipeline"
    return shutil.copytree(epsilon_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))


@pytest.fixture(scope="module")
def file(epsilon_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("single") / "model.safetensors"
    save_file(original(epsilon_folder), path)
    return path


def opened(path: Path, cache: Path, config: Path | None, **more: object) -> Family:
    told = {"sampling_steps": 2, "guidance": 2.0, "batch": 4, "cache": str(cache)}
    return pretrained(str(path), name="tiny", config=str(config) if config else None, **told, **more)


def pictures(model: Family) -> Tensor:
    noise = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    return model.sample(model.encode_prompts(tiny.prompts(2)), noise)


def test_its_pictures_are_those_of_the_folder(
    file: Path, described: Path, epsilon_folder: Path, tmp_path: Path
) -> None:
    model, folder = opened(file, tmp_path, described), opened(epsilon_folder, tmp_path, None)
    assert torch.equal(pictures(model), pictures(folder))
    assert not list(tmp_path.glob("*/*.partial"))


def test_so_are_xls(tmp_path: Path) -> None:
    folder = saved("xl", tmp_path / "pipeline")
    save_file(original(folder), tmp_path / "model.safetensors")
    config = tmp_path / "described"
    shutil.copytree(folder, config, ignore=shutil.ignore_patterns("*.safetensors"))
    model = opened(tmp_path / "model.safetensors", tmp_path, config, size=(32, 24))
    assert torch.equal(pictures(model), pictures(opened(folder, tmp_path, None, size=(32, 24))))


def test_it_is_converted_once_and_another_file_is_another_model(
    file: Path, described: Path, tmp_path: Path
) -> None:
    model = opened(file, tmp_path, described)
    written = model.denoiser_folder.stat().st_mtime_ns
    again = opened(shutil.copy(file, tmp_path / "other name.safetensors"), tmp_path, described)
    assert (again.folder, again.fingerprint) == (model.folder, model.fingerprint)
    assert again.denoiser_folder.stat().st_mtime_ns == written
    tensors = load_file(file)
    tensors["model.diffusion_model.out.2.bias"] += 1
    save_file(tensors, tmp_path / "trained.safetensors")
    trained = opened(tmp_path / "trained.safetensors", tmp_path, described)
    assert trained.fingerprint != model.fingerprint
    assert not torch.equal(pictures(trained), pictures(model))


def test_what_a_file_lacks_comes_from_the_folder_that_describes_it(tmp_path: Path) -> None:
    """As FLUX's files are, of the transformer alone, in the names of diffusers or of the original code."""
    folder = saved("flux", tmp_path / "pipeline")
    tensors = load_file(folder / "transformer/diffusion_pytorch_model.safetensors")
    tensors["proj_out.bias"] += 0.5
    save_file(tensors, tmp_path / "model.safetensors")
    told = {"text_tokens": T5_TOKENS, "size": (32, 24)}
    model = opened(tmp_path / "model.safetensors", tmp_path, folder, **told)
    save_file(tensors, folder / "transformer/diffusion_pytorch_model.safetensors")
    assert torch.equal(pictures(model), pictures(opened(folder, tmp_path, None, **told)))


def test_so_is_a_base_in_a_single_file(
    file: Path, described: Path, epsilon_folder: Path, tmp_path: Path
) -> None:
    """Described as the model is: by its config, or where it is a folder by that."""
    wanted = pictures(opened(epsilon_folder, tmp_path, None))
    told = {"name": "mine", "sampling_steps": 2, "guidance": 2.0, "cache": str(tmp_path)}
    audit = audited(str(file), config=str(described), base=str(file), **told)
    for model in (
        opened(file, tmp_path, described, base=str(file)).base,
        opened(epsilon_folder, tmp_path, None, base=str(file)).base,
        audit,
        audit.twin,
        audited(str(epsilon_folder), base=str(file), **told).twin,
        audited(str(file), config=str(described), base=str(epsilon_folder), **told).twin,
    ):
        assert torch.equal(pictures(model), wanted)
    assert audited(str(file), config=str(described), **told).twin is None
    with pytest.raises(InputError, match=r"single file .*: set model.path=.* and model.config"):
        audited(str(file), base=str(file), **told)


@pytest.mark.parametrize("ending", ["ckpt", "pt"])
def test_a_pickled_file_is_refused(file: Path, described: Path, tmp_path: Path, ending: str) -> None:
    shutil.copy(file, tmp_path / f"model.{ending}")
    with pytest.raises(InputError, match="pickled"):
        opened(tmp_path / f"model.{ending}", tmp_path, described)


def test_what_does_not_fit_is_told_in_a_sentence(
    file: Path, described: Path, epsilon_folder: Path, tmp_path: Path
) -> None:
    for path, config, told in (
        (file, tmp_path, "has no model_index.json: give the folder or hub id"),
        (file, tmp_path / "absent", "has no model_index.json"),
        (epsilon_folder, described, "is no file: set model.config=null"),
    ):
        with pytest.raises(InputError, match=told):
            opened(path, tmp_path, config)
    tensors = load_file(file)
    del tensors["model.diffusion_model.out.2.bias"]
    save_file(tensors, tmp_path / "less.safetensors")
    with pytest.raises(InputError, match=f"less.safetensors is not what {described} describes"):
        opened(tmp_path / "less.safetensors", tmp_path, described)
