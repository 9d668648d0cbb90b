"""Models that load, and would be measured wrongly: each refused in one sentence, or loaded rightly."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UniPCMultistepScheduler,
)
from peft import LoraConfig
from safetensors.torch import save_file

from dori.core.errors import InputError
from dori.diffusion import StableDiffusion
from dori.diffusion.checks.sound import check_sound
from tests import tiny
from tests.diffusion.folders import WEIGHTS, edit, rewrite, shard, weights

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.fixture
def copy(epsilon_folder: Path, tmp_path: Path) -> Path:
    """A pipeline's folder that a test may spoil."""
    return shutil.copytree(epsilon_folder, tmp_path / "copy")


def opened(path: Path, **settings: object) -> StableDiffusion:
    return StableDiffusion(str(path), name="tiny", **settings)


def looked_at(path: Path, **settings: object) -> float:
    """As a run does before its first stage."""
    model = opened(path, **settings)
    model.check_prompts(["a red boat"])
    return check_sound(model)


def refused(path: Path, match: str, **settings: object) -> None:
    with pytest.raises(InputError, match=match) as caught:
        looked_at(path, **settings)
    assert "\n" not in str(caught.value)


# weights


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", WEIGHTS)
def test_a_weight_that_is_not_finite_is_named(copy: Path, part: str, value: float) -> None:
    tensors = weights(copy, part)
    name = sorted(tensors)[3]
    tensors[name].flatten()[0] = value
    rewrite(copy, part, tensors)
    refused(copy, f"{part}: weight {name} has 1 of .* not finite")


def test_a_weight_that_half_precision_cannot_hold_is_named(copy: Path) -> None:
    tensors = weights(copy, "unet")
    tensors["conv_in.bias"][0] = 1e5
    rewrite(copy, "unet", tensors)
    looked_at(copy)
    refused(copy, "conv_in.bias .*as torch.float16.*model.dtype=float32", dtype="float16")


@pytest.mark.parametrize("part", WEIGHTS)
def test_a_weight_that_is_missing_is_named(copy: Path, part: str) -> None:
    tensors = weights(copy, part)
    name = sorted(tensors)[5]
    del tensors[name]
    rewrite(copy, part, tensors)
    refused(copy, rf"{part}: .* lacks 1 weights, e\.g\. {name}")


@pytest.mark.parametrize("part", WEIGHTS)
def test_a_weight_that_nothing_takes_is_named(copy: Path, part: str) -> None:
    rewrite(copy, part, weights(copy, part) | {"strange.weight": torch.zeros(2)})
    refused(copy, rf"{part}: .* has unknown 1 weights, e\.g\. strange\.weight")


def test_adapters_left_in_a_unet_are_called_so(copy: Path) -> None:
    unet = tiny.build_unet(0)
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"]))
    unet.save_pretrained(copy / "unet")
    refused(copy, "lacks .* and has unknown .* adapters are still in it; fuse and unload")


def test_an_adapter_beside_a_text_encoder_is_refused(copy: Path) -> None:
    """transformers would load it without a word."""
    (copy / "text_encoder/adapter_config.json").write_text("{}")
    refused(copy, r"text_encoder has an adapter .*adapter_config\.json")


def test_a_unet_of_another_shape_than_its_configuration_is_refused(copy: Path) -> None:
    edit(copy / "unet/config.json", block_out_channels=[16, 32, 64])
    refused(copy, "unet: .*cannot be loaded: .*shape")


def test_old_names_of_an_autoencoders_attention_are_what_they_were(copy: Path) -> None:
    before = opened(copy).pipeline.vae.state_dict()
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    renamed = {}
    for name, value in weights(copy, "vae").items():
        for new, short in old.items():
            name = name.replace(new, short)
        renamed[name] = value
    assert any(".query." in name for name in renamed)
    rewrite(copy, "vae", renamed)
    after = opened(copy).pipeline.vae.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_positions_that_old_text_encoders_stored_are_no_surplus(copy: Path) -> None:
    tensors = weights(copy, "text_encoder")
    prefix = "text_model." if any(name.startswith("text_model.") for name in tensors) else ""
    tensors[f"{prefix}embeddings.position_ids"] = torch.arange(tiny.TOKENS)[None]
    rewrite(copy, "text_encoder", tensors)
    looked_at(copy)


# files


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"", "is empty"),
        (None, "is damaged or only half there"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sharded", [False, True])
def test_a_file_that_is_none_is_called_what_it_is(
    copy: Path, content: bytes | None, told: str, sharded: bool
) -> None:
    if sharded:
        shard(copy, "unet")
    file = sorted((copy / "unet").glob("*.safetensors"))[-1]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(InputError, match=rf"{file.name} {told}"):
        opened(copy)


def test_a_component_in_the_place_of_a_pipeline_is_no_single_file(copy: Path) -> None:
    with pytest.raises(InputError, match=r"unet' has no model_index\.json: give the folder"):
        opened(copy / "unet")


@pytest.mark.parametrize("name", ["unet/config.json", "model_index.json", "scheduler/scheduler_config.json"])
def test_a_configuration_that_is_none_is_called_what_it_is(copy: Path, name: str) -> None:
    (copy / name).write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError, match=f"{name} is a Git LFS pointer"):
        opened(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "folder/v1-5-pruned.safetensors"])
def test_a_checkpoint_in_one_file_is_told_what_it_needs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    save_file({"model.diffusion_model.out.2.bias": torch.zeros(4)}, tmp_path / name)
    path = tmp_path / name.partition("/")[0]
    single = rf"single file .*model\.path={tmp_path}/{name} and model\.config"
    with pytest.raises(InputError, match="pickled" if name.endswith("ckpt") else single):
        opened(path)


# kinds


@pytest.mark.parametrize("kind", ["StableDiffusionXLPipeline", "FluxPipeline", "MyPipeline"])
def test_a_pipeline_of_another_kind_is_called_by_its_name(copy: Path, kind: str) -> None:
    edit(copy / "model_index.json", _class_name=kind)
    shutil.rmtree(copy / "unet")
    refused(copy, f"is a {kind}; dori knows StableDiffusionPipeline")


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("text_encoder", "CLIPTextModelWithProjection"), ("vae", "AutoencoderTiny"),
        ("tokenizer", "XLMRobertaTokenizer"), ("unet", "UNetMotionModel"),
    ],
)  # fmt: skip
def test_a_component_of_another_kind_is_called_by_its_name(copy: Path, part: str, kind: str) -> None:
    edit(copy / "model_index.json", **{part: ["somewhere", kind]})
    refused(copy, f"has a {kind} as its {part}")


@pytest.mark.parametrize(
    ("part", "changes", "told"),
    [
        ("unet", {"in_channels": 9}, "takes 9 channels and gives 5, where the autoencoder's latents have 5"),
        ("unet", {"out_channels": 10}, "gives 10"),
        ("unet", {"cross_attention_dim": 768}, "reads text of width 768, but the text encoder gives 24"),
        ("unet", {"cross_attention_dim": [24, 24, 32]}, "reads text of width"),
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type is 'text_time'"),
        ("unet", {"num_class_embeds": 10}, "num_class_embeds is 10"),
        ("unet", {"time_cond_proj_dim": 256}, "time_cond_proj_dim is 256"),
        ("unet", {"encoder_hid_dim_type": "ip_image_proj"}, "encoder_hid_dim_type"),
        ("unet", {"sample_size": None}, "sample_size is None: write"),
        ("unet", {"sample_size": [8, 12, 3]}, r"sample_size is \[8, 12, 3\]"),
        ("unet", {"_class_name": "UNet2DModel"}, "config.json is of a UNet2DModel"),
        ("vae", {"shift_factor": 0.1}, "shift_factor is 0.1"),
        ("vae", {"scaling_factor": None}, "scaling_factor is None"),
        ("vae", {"latent_channels": 4}, "latents have 4"),
        ("vae", {"in_channels": 4}, "takes 4 and gives 3 channels"),
        ("text_encoder", {"hidden_size": 32}, "the text encoder gives 32"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused_before_a_weight_is_read(
    copy: Path, part: str, changes: dict[str, Any], told: str
) -> None:
    edit(copy / part / "config.json", **changes)
    with pytest.raises(InputError, match=told):
        opened(copy)


def test_latents_have_two_sides_where_they_are_written(copy: Path) -> None:
    edit(copy / "unet/config.json", sample_size=[8, 12])
    model = opened(copy)
    assert (model.latent_shape, model.size) == ((tiny.LATENTS, 8, 12), (48, 32))


def test_a_size_that_the_autoencoder_cannot_have_is_refused(copy: Path) -> None:
    assert opened(copy, size=[48, 32]).latent_shape == (tiny.LATENTS, 8, 12)
    refused(copy, "model.size is 50 x 32: tiny draws multiples of 4 pixels", size=[50, 32])


def test_what_a_configuration_leaves_out_is_as_in_diffusers(copy: Path) -> None:
    edit(copy / "vae/config.json", scaling_factor=...)
    model = opened(copy)
    plain = StableDiffusionPipeline.from_pretrained(copy, use_safetensors=True, safety_checker=None)
    assert model.pipeline.vae.config.scaling_factor == plain.vae.config.scaling_factor == 0.18215


def test_weights_that_were_stored_in_another_precision_are_cast(copy: Path) -> None:
    for part in WEIGHTS:
        rewrite(copy, part, {name: value.bfloat16() for name, value in weights(copy, part).items()})
    model = opened(copy)
    assert {p.dtype for network in model.networks for p in network.parameters()} == {torch.float32}
    looked_at(copy)


def test_what_a_newer_library_wrote_is_left_aside_where_every_weight_has_its_place(copy: Path) -> None:
    before = opened(copy).denoiser.state_dict()
    edit(copy / "unet/config.json", _diffusers_version="9.0.0", something_new=None)
    after = opened(copy).denoiser.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


# schedules


def with_scheduler(folder: Path, scheduler: Any, **changes: Any) -> Path:
    shutil.rmtree(folder / "scheduler")
    scheduler.save_pretrained(folder / "scheduler")
    edit(folder / "scheduler/scheduler_config.json", **changes)
    edit(folder / "model_index.json", scheduler=["diffusers", type(scheduler).__name__])
    return folder


@pytest.mark.parametrize(
    "scheduler",
    [FlowMatchEulerDiscreteScheduler(shift=3.0), EDMEulerScheduler(), LCMScheduler(**BETAS)],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_a_scheduler_of_another_kind_of_model_is_called_by_its_name(copy: Path, scheduler: Any) -> None:
    with pytest.raises(InputError, match=f"scheduler_config.json: {type(scheduler).__name__} "):
        opened(with_scheduler(copy, scheduler))


@pytest.mark.parametrize("kind", [PNDMScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler])
def test_ddim_takes_the_place_of_what_has_its_schedule(copy: Path, kind: Any) -> None:
    before = opened(copy).schedule.scheduler.alphas_cumprod
    model = opened(with_scheduler(copy, kind(**BETAS)))
    torch.testing.assert_close(model.schedule.scheduler.alphas_cumprod, before)


@pytest.mark.parametrize(
    ("scheduler", "changes", "told"),
    [
        (UniPCMultistepScheduler(**BETAS), {"prediction_type": "flow_prediction"}, "flow_prediction"),
        (UniPCMultistepScheduler(**BETAS), {"use_flow_sigmas": True}, "use_flow_sigmas is of flow matching"),
        (HeunDiscreteScheduler(), {"beta_start": ..., "beta_end": ...}, "another noise schedule than DDIM"),
        (DDIMScheduler(**BETAS, rescale_betas_zero_snr=True), {}, "zero terminal SNR"),
        (DDIMScheduler(trained_betas=[0.1] * 9 + [1.0]), {"num_train_timesteps": 10}, "zero terminal SNR"),
        (DDIMScheduler(**BETAS), {"prediction_type": "sample"}, "predicts 'sample'"),
        (DDIMScheduler(**BETAS), {"beta_schedule": "sigmoid"}, "makes no schedule: .*sigmoid"),
        (DDIMScheduler(**BETAS), {"beta_end": 0.0, "beta_start": 0.0}, "add no noise"),
        (DDIMScheduler(**BETAS), {"beta_end": 12}, "add no noise"),
        (DDIMScheduler(**BETAS), {"_class_name": "MyScheduler"}, "MyScheduler"),
    ],
)  # fmt: skip
def test_a_schedule_that_ddim_cannot_serve_is_refused(
    copy: Path, scheduler: Any, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=f"scheduler_config.json.*{told}"):
        opened(with_scheduler(copy, scheduler, **changes), sampling_steps=5)


def test_zero_terminal_snr_is_right_where_v_is_predicted(copy: Path) -> None:
    scheduler = DDIMScheduler(
        **BETAS, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing"
    )
    model = opened(with_scheduler(copy, scheduler), sampling_steps=3)
    noise = torch.randn(1, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    *_, z = model.denoise(model.empty, noise, steps=3, guidance=2.0)
    assert torch.isfinite(z).all()


@pytest.mark.parametrize("steps", [1000, 1001])
def test_steps_that_lead_out_of_the_schedule_are_refused(copy: Path, steps: int) -> None:
    """With steps_offset the last of a thousand would be the timestep 1000."""
    with pytest.raises(InputError, match=f"model.sampling_steps={steps}, but the model has 1000 timesteps"):
        opened(copy, sampling_steps=steps)


# tokens


@pytest.mark.parametrize("length", [..., 512, int(1e30)])
def test_a_sequence_is_as_long_as_the_text_encoder_takes(copy: Path, length: Any) -> None:
    edit(copy / "tokenizer/tokenizer_config.json", model_max_length=length)
    model = opened(copy)
    assert model.encode_prompts(["a red boat"]).shape == (1, tiny.TOKENS, tiny.WIDTH)
    with pytest.raises(InputError, match=f"takes {tiny.TOKENS}"):
        model.check_prompts([" ".join(["boat"] * 20)])


def test_a_token_that_the_text_encoder_does_not_know_is_named(copy: Path) -> None:
    model = opened(copy)
    model.tokenizer.add_tokens(["<sks>"])
    model.tokenizer.save_pretrained(copy / "tokenizer")
    refused(copy, r"token '<sks>' at \d+, but the text encoder has \d+ embeddings: call resize_token")


@pytest.mark.parametrize("name", ["merges.txt", "vocab.json", "all"])
def test_a_tokenizer_that_is_not_whole_is_refused(copy: Path, name: str) -> None:
    folder = copy / "tokenizer"
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    if name != "all":
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        (folder / name).unlink()
    refused(copy, "has neither tokenizer.json nor vocab.json and merges.txt")


def test_a_tokenizer_that_cannot_pad_is_refused(copy: Path) -> None:
    edit(copy / "tokenizer/tokenizer_config.json", pad_token=None)
    refused(copy, "has no pad_token")


def test_a_broken_tokenizer_is_refused(copy: Path) -> None:
    (copy / "tokenizer/tokenizer.json").write_text("<html>")
    refused(copy, "tokenizer.* cannot be loaded")


def test_a_prompt_that_is_too_long_is_found_where_it_was_read(copy: Path) -> None:
    long = " ".join(["boat"] * 20)
    with pytest.raises(InputError, match=r"^targets\.csv, line 3: prompt of 22 tokens"):
        opened(copy).check_prompts(["a boat", long], ["targets.csv, line 2", "targets.csv, line 3"])
    assert opened(copy).cut([long, "a boat"]) == 0
    assert opened(copy, truncate_prompts=True).cut([long, "a boat", long]) == 2


# whole folders


def test_a_folder_as_stable_diffusion_was_published_loads(copy: Path, tmp_path: Path) -> None:
    """Old class names, a safety checker that is not there, PNDM."""
    edit(
        copy / "model_index.json", _diffusers_version="0.2.2", scheduler=["diffusers", "PNDMScheduler"],
        feature_extractor=["transformers", "CLIPFeatureExtractor"], image_encoder=None,
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
    )  # fmt: skip
    edit(copy / "scheduler/scheduler_config.json", _class_name="PNDMScheduler", skip_prk_steps=True)
    before, model = opened(copy), opened(copy)
    model.save(tmp_path / "saved")
    plain = StableDiffusionPipeline.from_pretrained(tmp_path / "saved", use_safetensors=True)
    assert type(plain.scheduler) is PNDMScheduler
    noise = torch.randn(1, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    y = model.encode_prompts(tiny.prompts(1))
    again = opened(tmp_path / "saved")
    assert torch.equal(again.sample(y, noise), before.sample(y, noise))
