"""Our few functions against diffusers' own pipeline, and against the formulas."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from dori.core.errors import InputError
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion, frozen
from tests import tiny

Make = Callable[..., StableDiffusion]
PREDICTIONS = ("epsilon", "v_prediction")


def noise_of(model: StableDiffusion, count: int) -> torch.Tensor:
    return torch.randn(count, *model.latent_shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("guidance", [1, 3.5])
def test_samples_are_those_of_a_plain_diffusers_pipeline(
    make_diffusion: Make, prediction: str, guidance: float
) -> None:
    model = make_diffusion(prediction, guidance=guidance, sampling_steps=4, dtype="float64", batch=4)
    plain = StableDiffusionPipeline.from_pretrained(
        model.folder, use_safetensors=True, safety_checker=None, torch_dtype=torch.float64
    )
    plain.scheduler = DDIMScheduler.from_config(plain.scheduler.config)
    plain.set_progress_bar_config(disable=True)
    y, noise = model.encode_prompts(tiny.prompts(3)), noise_of(model, 3).double()
    theirs = plain(
        prompt_embeds=y, negative_prompt_embeds=model.empty.expand_as(y), latents=noise,
        num_inference_steps=4, guidance_scale=guidance, output_type="np",
    ).images  # fmt: skip
    # three samples and a batch of four: with guidance ours takes two calls
    ours = model.sample(y, noise)
    assert ours.dtype == torch.uint8
    assert ours.float().std() > 10  # they show something
    torch.testing.assert_close(ours, torch.from_numpy((theirs * 255).round()).byte().permute(0, 3, 1, 2))


def test_prompts_are_encoded_as_diffusers_does(make_diffusion: Make) -> None:
    model = make_diffusion()
    y = model.encode_prompts([*tiny.prompts(2), ""])
    theirs, _ = model.pipeline.encode_prompt([*tiny.prompts(2), ""], "cpu", 1, False)
    assert y.shape == (3, tiny.TOKENS, tiny.WIDTH)
    torch.testing.assert_close(y, theirs, rtol=0, atol=0)
    torch.testing.assert_close(model.empty, y[2:])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_predicted_noise_follows_the_formula(make_diffusion: Make, prediction: str) -> None:
    model = make_diffusion(prediction, dtype="float64")
    z_t, t = noise_of(model, 3).double(), torch.tensor([1, 400, 990])
    y = model.encode_prompts(tiny.prompts(3))
    with torch.no_grad():
        out, found = model.denoiser(z_t, t, y).sample, model.predict(z_t, t, y)
    # the schedule from its definition: betas linear in their roots
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    a = (1 - betas).cumprod(0)[t].view(-1, 1, 1, 1)
    expected = out if prediction == "epsilon" else a.sqrt() * out + (1 - a).sqrt() * z_t
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # diffusers keeps a in float32


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_denoising_loss_is_the_mean_squared_error_of_each_sample(
    make_diffusion: Make, prediction: str
) -> None:
    model = make_diffusion(prediction)
    z, noise, t = noise_of(model, 2), torch.randn(2, *model.latent_shape), torch.tensor([10, 700])
    y = model.encode_prompts(tiny.prompts(2))
    loss = model.loss(z, y, noise, t)
    for i in range(2):
        a = model.schedule.scheduler.alphas_cumprod[t[i]]
        z_t = a.sqrt() * z[i] + (1 - a).sqrt() * noise[i]
        with torch.no_grad():
            out = model.denoiser(z_t[None], t[i], y[i : i + 1]).sample[0]
        predicted = out if prediction == "epsilon" else a.sqrt() * out + (1 - a).sqrt() * z_t
        expected = sum((predicted - noise[i]).flatten().square().tolist()) / noise[i].numel()
        assert loss[i].item() == pytest.approx(expected, rel=1e-4)


def test_images_are_encoded_to_scaled_means_in_any_batch(make_diffusion: Make) -> None:
    images = tensor([tiny.picture(i) for i in range(3)], (tiny.SIDE,) * 2)
    model = make_diffusion(batch=8)
    assert (model.size, model.latent_shape) == ((tiny.SIDE,) * 2, (tiny.LATENTS, 8, 8))
    with torch.no_grad():
        mean = model.pipeline.vae.encode(images / 127.5 - 1).latent_dist.mean
    z = model.encode_images(images)
    torch.testing.assert_close(z, mean * 0.5, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(make_diffusion(batch=32).encode_images(images), z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("guidance", [1, 2.0])
def test_evaluations_per_image_are_the_samples_through_the_unet(
    make_diffusion: Make, guidance: float
) -> None:
    model = make_diffusion(guidance=guidance, sampling_steps=3, batch=4)
    samples = []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    model.sample(model.encode_prompts(tiny.prompts(5)), noise_of(model, 5))
    hook.remove()
    assert sum(samples) == 5 * model.evaluations_per_image
    assert max(samples) <= model.batch


def test_a_prompt_that_is_too_long_is_refused_with_its_text(make_diffusion: Make) -> None:
    long = " ".join(["boat"] * tiny.TOKENS)
    with pytest.raises(InputError, match=f"prompt of {tiny.TOKENS + 2} tokens.*{long}.*truncate_prompts"):
        make_diffusion().check_prompts([*tiny.prompts(1), long])
    fits = " ".join(["boat"] * (tiny.TOKENS - 2))
    make_diffusion().check_prompts([fits, ""])
    model = make_diffusion(truncate_prompts=True)
    model.check_prompts([long])
    torch.testing.assert_close(model.encode_prompts([long]), model.encode_prompts([fits]))


@pytest.mark.parametrize("key", ["sampling_steps", "guidance", "images_per_prompt", "batch"])
@pytest.mark.parametrize("value", [0, -3])
def test_settings_at_or_below_zero_are_refused(make_diffusion: Make, key: str, value: int) -> None:
    with pytest.raises(InputError, match=f"model.{key} must be above zero, but is {value}"):
        make_diffusion(**{key: value})


@pytest.mark.parametrize("dtype", ["float33", "cat", "int8", "float8_e4m3fn"])
def test_an_unknown_dtype_is_refused(make_diffusion: Make, dtype: str) -> None:
    with pytest.raises(InputError, match=f"model.dtype '{dtype}'"):
        make_diffusion(dtype=dtype)


def test_no_weight_of_a_model_asks_for_gradients(make_diffusion: Make) -> None:
    networks = make_diffusion().networks
    assert not any(p.requires_grad for network in networks for p in network.parameters())
    assert not any(network.training for network in networks)


def test_frozen_restores_what_it_found_also_after_an_error() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)).train()
    network[0].requires_grad_(False)
    with pytest.raises(RuntimeError, match="inside"), frozen(network):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        raise RuntimeError("inside")
    assert network.training
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, True]


def test_a_saved_model_is_the_same_and_loads_in_plain_diffusers(make_diffusion: Make, tmp_path: Path) -> None:
    model = make_diffusion()
    model.save(tmp_path / "saved")
    again = StableDiffusion(str(tmp_path / "saved"), name="again", sampling_steps=2, guidance=2.0)
    y, noise = model.encode_prompts(tiny.prompts(1)), noise_of(model, 1)
    assert torch.equal(again.sample(y, noise), model.sample(y, noise))
    plain = StableDiffusionPipeline.from_pretrained(tmp_path / "saved", use_safetensors=True)
    assert type(plain.scheduler) is DDIMScheduler


def test_another_unet_takes_the_place_of_the_pipelines_own(
    make_diffusion: Make, v_folder: Path, epsilon_folder: Path
) -> None:
    own, other = make_diffusion(), make_diffusion(denoiser=str(epsilon_folder / "unet"))
    expected = make_diffusion("epsilon").denoiser.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in other.denoiser.state_dict().items())
    assert other.fingerprint != own.fingerprint
    assert make_diffusion(denoiser=str(v_folder / "unet")).fingerprint == own.fingerprint
