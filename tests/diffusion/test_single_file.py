"""A checkpoint in a single file, in the names of the original code, is the model that it was made from."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dori.core.errors import InputError
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from tests import tiny
from tests.diffusion.folders import weights
from tests.diffusion.pipelines import T5_TOKENS, saved

LEVELS, PER_LEVEL = 3, 1  # of the tiny U-Net: resolutions, and residual blocks at each


def unet_name(name: str) -> str:
    """Of the original U-Net, whose blocks are numbered through from the input to the output."""
    for ours, theirs in {
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    }.items():  # fmt: skip
        if name.startswith(f"{ours}."):
            return name.replace(ours, theirs)
    found = re.match(
        r"(down|mid|up)_blocks?\.(?:(\d)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d)\.", name
    )
    assert found
    side, level, kind, place = found[1], int(found[2] or 0), found[3], int(found[4])
    rest = name[found.end() :]
    for ours, theirs in {
        "norm1.": "in_layers.0.", "conv1.": "in_layers.2.", "norm2.": "out_layers.0.",
        "conv2.": "out_layers.3.", "time_emb_proj.": "emb_layers.1.", "conv_shortcut.": "skip_connection.",
    }.items():  # fmt: skip
        if kind == "resnets" and rest.startswith(ours):
            rest = rest.replace(ours, theirs)
    second = int(kind == "attentions")
    if side == "mid":
        return f"middle_block.{1 if second else 2 * place}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * (PER_LEVEL + 1)}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":  # after the last block's residual and, where it has one, its attention
        return f"output_blocks.{level * (PER_LEVEL + 1) + PER_LEVEL}.{1 if level == 0 else 2}.{rest}"
    if side == "down":
        return f"input_blocks.{1 + level * (PER_LEVEL + 1) + place}.{second}.{rest}"
    return f"output_blocks.{level * (PER_LEVEL + 1) + place}.{second}.{rest}"


def vae_name(name: str) -> str:
    """Of the original autoencoder, whose decoder counts its levels from the finest."""
    name = re.sub(r"down_blocks\.(\d)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.", lambda m: f"up.{LEVELS - 1 - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{LEVELS - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_norm_out", "norm_out")
    name = (
        name.replace("group_norm", "norm")
        .replace("to_out.0", "proj_out")
        .replace("conv_shortcut", "nin_shortcut")
    )
    return re.sub(r"attn_1\.to_(\w)", r"attn_1.\1", name)


def original(folder: Path) -> dict[str, Tensor]:
    """Stable Diffusion's weights as its original code named them."""
    found = {f"model.diffusion_model.{unet_name(k)}": v for k, v in weights(folder, "unet").items()}
    for name, value in weights(folder, "vae").items():
        told = vae_name(name)
        convolved = "attn_1" in told and value.ndim == 2  # attention was of 1 x 1 convolutions
        found[f"first_stage_model.{told}"] = value[:, :, None, None].contiguous() if convolved else value
    for name, value in weights(folder, "text_encoder").items():
        found[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    return found


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
    with pytest.raises(InputError, match=r"is not what model\.config describes"):
        opened(tmp_path / "less.safetensors", tmp_path, described)
