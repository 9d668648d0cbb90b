"""The fingerprint is of the files that loading reads, and of no others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dori.core.errors import InputError
from dori.diffusion import StableDiffusion
from tests.diffusion.folders import WEIGHTS, edit, rewrite, shard, weights

PARTS = ("unet", "vae", "text_encoder")


@pytest.fixture
def copy(v_folder: Path, tmp_path: Path) -> Path:
    """A pipeline's folder that a test may spoil."""
    return shutil.copytree(v_folder, tmp_path / "copy")


def opened(path: Path, **settings: object) -> StableDiffusion:
    return StableDiffusion(str(path), name="tiny", **settings)


def moved(folder: Path, part: str, by: float) -> None:
    """All weights of a part moved a little."""
    rewrite(folder, part, {key: value + by for key, value in weights(folder, part).items()})


def as_variant(folder: Path, part: str, variant: str = "non_ema") -> None:
    """The weights of a part become a variant."""
    file = folder / part / WEIGHTS[part]
    file.rename(file.with_name(file.name.replace(".safetensors", f".{variant}.safetensors")))


def two_variants(folder: Path) -> None:
    for part in PARTS:
        before = (folder / part / WEIGHTS[part]).read_bytes()
        moved(folder, part, 0.5)
        as_variant(folder, part)
        (folder / part / WEIGHTS[part]).write_bytes(before)


def one_weight(model: StableDiffusion) -> torch.Tensor:
    return model.denoiser.conv_in.bias


def test_variants_in_one_folder_are_two_models(copy: Path) -> None:
    plain = opened(copy).fingerprint
    two_variants(copy)
    one, other = opened(copy), opened(copy, variant="non_ema")
    assert one.fingerprint == plain
    assert other.fingerprint != plain
    torch.testing.assert_close(one_weight(other), one_weight(one) + 0.5)


def test_a_part_without_the_variant_is_loaded_plainly(copy: Path) -> None:
    as_variant(copy, "unet")
    model = opened(copy, variant="non_ema")
    assert [part.variant for part in model.components.parts.values()] == ["non_ema", None, None]
    assert model.pipeline


def test_a_pickled_variant_is_not_replaced_by_other_weights(copy: Path) -> None:
    """diffusers asks for the variant wherever a file of any kind has it."""
    as_variant(copy, "vae")
    (copy / "unet/diffusion_pytorch_model.non_ema.bin").write_bytes(b"")
    with pytest.raises(InputError, match="pickled weights only for 'unet'"):
        opened(copy, variant="non_ema")


def test_a_trained_unet_has_no_variant(copy: Path, v_folder: Path) -> None:
    as_variant(copy, "unet")
    model = opened(copy, variant="non_ema")
    assert model.with_denoiser(model.denoiser_folder).fingerprint == model.fingerprint
    assert model.with_denoiser(v_folder / "unet").components.parts["unet"].variant is None


def stale_copy(folder: Path, part: str) -> None:
    """Shards, and a single file of other weights beside them: each library has its own order."""
    other = {key: value + 0.5 for key, value in weights(folder, part).items()}
    shard(folder, part)
    rewrite(folder, part, other)


LAYOUTS: dict[str, Callable[[Path], dict[str, str]]] = {
    "plain": lambda folder: {},
    "sharded": lambda folder: [shard(folder, part) for part in PARTS] and {},
    "both": lambda folder: [stale_copy(folder, part) for part in PARTS] and {},
    "variant": lambda folder: two_variants(folder) or {"variant": "non_ema"},
    "sharded variant": lambda folder: [shard(folder, p, "fp16") for p in PARTS] and {"variant": "fp16"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_files_of_the_fingerprint_are_those_that_are_loaded(
    copy: Path, tmp_path: Path, layout: str
) -> None:
    """With these alone the model is the same; without any one of the weights there is none."""
    settings = LAYOUTS[layout](copy)
    model = opened(copy, **settings)
    bare = tmp_path / "bare"
    for file in (file for part in model.components.parts.values() for file in part.files):
        (bare / file.relative_to(copy)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, bare / file.relative_to(copy))
    for rest in ("tokenizer", "scheduler"):
        shutil.copytree(copy / rest, bare / rest)
    shutil.copy(copy / "model_index.json", bare)
    again = opened(bare, **settings)
    assert again.fingerprint == model.fingerprint
    for one, other in zip(again.networks, model.networks, strict=True):
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
    for file in (file for part in again.components.parts.values() for file in part.weights):
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(InputError, match=str(file.parent)):
            opened(bare, **settings)
        file.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "README.md", "unet/timing.json", "unet/diffusion_pytorch_model.fp16.safetensors", "vae/notes.txt",
        "text_encoder/pytorch_model.bin", "v1-5-pruned.safetensors", "tokenizer/README.txt",
        "safety_checker/model.safetensors", "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
    ],
)  # fmt: skip
def test_what_else_lies_there_makes_no_difference(copy: Path, v_folder: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("nothing that is read")
    assert opened(copy).fingerprint == opened(v_folder).fingerprint


@pytest.mark.parametrize("part", PARTS)
def test_every_network_counts(copy: Path, v_folder: Path, part: str) -> None:
    moved(copy, part, 1e-6)
    assert opened(copy).fingerprint != opened(v_folder).fingerprint


def test_a_shard_that_is_missing_is_named(copy: Path) -> None:
    shard(copy, "unet")
    (copy / "unet/diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"index\.json names .*00002-of-00002\.safetensors, which is not there"
    ):
        opened(copy)


def test_an_index_that_names_other_weights_than_its_shards_is_refused(copy: Path) -> None:
    """The libraries believe the index, and leave what it invents as it was in memory."""
    shard(copy, "unet")
    index = copy / "unet/diffusion_pytorch_model.safetensors.index.json"
    where = json.loads(index.read_text())["weight_map"]
    first, second = sorted(set(where.values()))
    edit(index, weight_map=where | {next(k for k, v in where.items() if v == first): second})
    with pytest.raises(InputError, match=r"disagree about 1 weights, the first .* not in that file"):
        opened(copy)


def test_a_pipeline_in_the_place_of_a_unet_is_told_from_one(v_folder: Path) -> None:
    with pytest.raises(InputError, match=f"is a whole pipeline; give its unet: {v_folder}/unet"):
        opened(v_folder, denoiser=str(v_folder))
