"""Adapters as diffusers, peft and kohya write them give the pictures that diffusers gives."""

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from dori.core.errors import InputError
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from tests import tiny
from tests.diffusion.pipelines import T5_TOKENS, saved

RANK, ALPHA = 2, 6
LAYERS = ["to_q", "to_v"]


@pytest.fixture(scope="module", params=["epsilon", "sd3"])
def folder(
    request: pytest.FixtureRequest, epsilon_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param == "epsilon":
        return epsilon_folder
    return saved(request.param, tmp_path_factory.mktemp("lora") / "pipeline")


def opened(folder: Path, **settings: object) -> Family:
    told = {"sampling_steps": 2, "guidance": 2.0, "batch": 4, "text_tokens": T5_TOKENS}
    return pretrained(str(folder), name="tiny", **told, **settings)


def pictures(model: Family) -> Tensor:
    noise = torch.randn(1, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    return model.sample(model.encode_prompts(tiny.prompts(1)), noise)


def test_a_family_whose_pipeline_takes_none_says_so(tmp_path: Path) -> None:
    folder = saved("pixart", tmp_path / "pipeline")
    save_file({"lora": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match="no adapters of a PixArtSigmaPipeline"):
        opened(folder, lora=str(tmp_path / "lora.safetensors"))


def made(folder: Path, seed: int = 0) -> tuple[DiffusionPipeline, torch.nn.Module]:
    """A pipeline with random adapters in its denoiser."""
    pipeline = DiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    denoiser = pipeline.components.get("unet") or pipeline.components["transformer"]
    torch.manual_seed(seed)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=LAYERS, init_lora_weights=False)
    denoiser.add_adapter(config)
    return pipeline, denoiser


def merged(folder: Path, scale: float = 1.0, seed: int = 0) -> dict[str, Tensor]:
    """The denoiser's weights with the adapters of ``made``: W + scale * alpha / rank * B A."""
    _, denoiser = made(folder, seed)
    state = denoiser.state_dict()
    found = {k.replace(".base_layer", ""): v.clone() for k, v in state.items() if "lora" not in k}
    for name in [name for name in state if "lora_A" in name]:
        layer = name.split(".lora_A")[0]
        found[f"{layer}.weight"] += (
            scale * ALPHA / RANK * (state[name.replace("lora_A", "lora_B")] @ state[name])
        )
    return found


def written(folder: Path, how: str, out: Path, seed: int = 0) -> Path:
    pipeline, denoiser = made(folder, seed)
    layers = get_peft_model_state_dict(denoiser)
    part = "unet" if "unet" in pipeline.components else "transformer"
    if how == "diffusers":
        scaled = {k: v * ALPHA / RANK if "lora_B" in k else v for k, v in layers.items()}
        named = {f"{part}_lora_layers": convert_state_dict_to_diffusers(scaled)}
        type(pipeline).save_lora_weights(out, **named, safe_serialization=True)
        return out
    if how == "peft":
        plain = DiffusionPipeline.from_pretrained(folder, use_safetensors=True).components[part]
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=LAYERS)
        network = get_peft_model(plain, config)
        network.load_state_dict(
            {f"base_model.model.{k.replace('.weight', '.default.weight')}": v for k, v in layers.items()},
            strict=False,
        )
        network.save_pretrained(out)
        return out
    kohya = {}
    for name, value in layers.items():
        layer, _, side = name.removesuffix(".weight").rpartition(".")
        stem = f"lora_unet_{layer.replace('.', '_')}"
        kohya[f"{stem}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = value
        kohya[f"{stem}.alpha"] = torch.tensor(float(ALPHA))
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in kohya.items()}, out / "style.safetensors")
    return out / "style.safetensors"


@pytest.mark.parametrize("how", ["diffusers", "peft", "kohya"])
def test_adapters_are_merged_as_their_formula_says(folder: Path, tmp_path: Path, how: str) -> None:
    if how == "kohya" and "transformer" in {path.name for path in folder.iterdir()}:
        pytest.skip("kohya's names of Stable Diffusion's U-Net alone")
    model = opened(folder, lora=str(written(folder, how, tmp_path / "lora")), lora_scale=0.5)
    expected = merged(folder, 0.5)
    found = model.denoiser.state_dict()
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)
    assert not any(weight.requires_grad for weight in model.denoiser.parameters())


def test_pictures_are_those_of_plain_diffusers(epsilon_folder: Path, tmp_path: Path) -> None:
    paths = [written(epsilon_folder, "diffusers", tmp_path / f"{i}", i) for i in range(2)]
    model = opened(epsilon_folder, lora=[str(path) for path in paths], lora_scale=[0.7, 0.2])
    plain = DiffusionPipeline.from_pretrained(epsilon_folder, use_safetensors=True)
    plain.scheduler = DDIMScheduler.from_config(plain.scheduler.config)
    plain.set_progress_bar_config(disable=True)
    for i, path in enumerate(paths):
        plain.load_lora_weights(path, adapter_name=f"a{i}")
    plain.set_adapters(["a0", "a1"], [0.7, 0.2])
    noise = torch.randn(1, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    theirs = plain(
        tiny.prompts(1), latents=noise, num_inference_steps=2, guidance_scale=2.0, output_type="np"
    ).images
    ours = pictures(model)
    torch.testing.assert_close(
        ours.int(), torch.from_numpy((theirs * 255).round()).int().permute(0, 3, 1, 2), rtol=0, atol=1
    )
    assert not torch.equal(ours, pictures(opened(epsilon_folder)))
    # the base is the same model without them
    assert model.base is not None
    assert torch.equal(pictures(model.base), pictures(opened(epsilon_folder)))
    assert model.base.fingerprint == opened(epsilon_folder).fingerprint != model.fingerprint


def test_the_file_and_its_scale_are_in_the_fingerprint(epsilon_folder: Path, tmp_path: Path) -> None:
    one, other = (str(written(epsilon_folder, "diffusers", tmp_path / f"{i}", i)) for i in range(2))
    prints = [
        opened(epsilon_folder, lora=lora, lora_scale=scale).fingerprint
        for lora, scale in ((one, 1.0), (one, 0.5), (other, 1.0), (None, 1.0))
    ]
    assert len(set(prints)) == 4


def test_a_trained_denoiser_has_them_already(epsilon_folder: Path, tmp_path: Path) -> None:
    lora = str(written(epsilon_folder, "diffusers", tmp_path / "lora"))
    model = opened(epsilon_folder, lora=lora)
    model.save_denoiser(model.denoiser, tmp_path / "trained")
    again = model.with_denoiser(tmp_path / "trained")
    assert torch.equal(pictures(again), pictures(model))
    assert torch.equal(pictures(model.fresh()), pictures(model))


def test_a_base_may_be_a_pipeline_of_its_own(epsilon_folder: Path, v_folder: Path) -> None:
    model = opened(epsilon_folder, base=str(v_folder))
    assert model.base is not None
    assert (model.base.name, model.base.fingerprint) == ("tiny_base", opened(v_folder).fingerprint)
    assert opened(epsilon_folder).base is None


def test_what_is_no_adapter_of_this_model_is_refused(epsilon_folder: Path, tmp_path: Path) -> None:
    """In one sentence; all but the last before any weight is read."""
    good = written(epsilon_folder, "diffusers", tmp_path / "lora")
    (tmp_path / "old.ckpt").write_bytes(b"")
    for settings, told in [
        ({"lora": str(tmp_path / "none")}, "does not exist"),
        ({"lora": str(tmp_path / "old.ckpt")}, "no safetensors file: pickled"),
        ({"lora": str(epsilon_folder / "unet")}, "no weights of adapters"),
        ({"lora": str(good), "lora_scale": [1.0, 2.0]}, "lora_scale has 2 values for 1"),
    ]:
        with pytest.raises(InputError, match=told):
            opened(epsilon_folder, **settings)
    weights = load_file(good / "pytorch_lora_weights.safetensors")
    wider = {k: torch.cat([v, v], 1) if "down" in k or "lora_A" in k else v for k, v in weights.items()}
    save_file(wider, tmp_path / "wider.safetensors")
    with pytest.raises(InputError, match="is of another architecture than the model"):
        assert opened(epsilon_folder, lora=str(tmp_path / "wider.safetensors")).denoiser
