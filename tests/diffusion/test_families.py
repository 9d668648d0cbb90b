"""Every family against its own plain diffusers pipeline, and its loss against the training script's."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from dori.diffusion import pretrained
from dori.diffusion.family import Family
from dori.diffusion.schedules.flow import LOGIT_NORMAL
from dori.pruning.nemo.statistics import activations
from tests import tiny
from tests.diffusion.folders import edit
from tests.diffusion.pipelines import FAMILIES, T5_TOKENS, saved

Make = Callable[..., Family]
T5 = {"max_sequence_length": T5_TOKENS}
SIZE = (32, 24)
POOLED = [name for name in FAMILIES if name != "pixart"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: saved(name, tmp_path_factory.mktemp("family") / "pipeline") for name in FAMILIES}


@pytest.fixture(scope="module")
def make(folders: dict[str, Path]) -> Make:
    def make(family: str, **settings: object) -> Family:
        told = {"sampling_steps": 3, "guidance": 3.5, "batch": 4, "text_tokens": T5_TOKENS, "size": SIZE}
        return pretrained(str(folders[family]), name="tiny", **(told | settings))

    return make


def plain(model: Family) -> DiffusionPipeline:
    """Loaded by diffusers alone, with the sampler that is ours."""
    absent = dict.fromkeys(model.components.lacking)
    found = DiffusionPipeline.from_pretrained(model.folder, use_safetensors=True, **absent)
    if not isinstance(found.scheduler, FlowMatchEulerDiscreteScheduler):
        found.scheduler = DDIMScheduler.from_config(found.scheduler.config, clip_sample=False)
    found.set_progress_bar_config(disable=True)
    return found


def noise_of(model: Family, count: int) -> Tensor:
    return torch.randn(count, *model.latent_shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("guidance", [1, 3.5])
def test_pictures_are_those_of_the_plain_pipeline(make: Make, family: str, guidance: float) -> None:
    model, prompts = make(family, guidance=guidance), tiny.prompts(3)
    pipeline, noise = plain(model), noise_of(model, 3)
    told = {} if "xl" in family else T5
    if family == "pixart":
        told = T5 | {"clean_caption": False, "use_resolution_binning": False}
    latents = pipeline._pack_latents(noise, *noise.shape) if "flux" in family else noise
    theirs = pipeline(
        prompts, latents=latents, num_inference_steps=3, guidance_scale=guidance, output_type="np",
        width=SIZE[0], height=SIZE[1], **told,
    ).images  # fmt: skip
    ours = model.sample(model.encode_prompts(prompts), noise)
    assert ours.shape == (3, 3, SIZE[1], SIZE[0])
    assert ours.float().std() > 10  # they show something
    torch.testing.assert_close(
        ours.int(), torch.from_numpy((theirs * 255).round()).int().permute(0, 3, 1, 2), rtol=0, atol=1
    )


def test_flux_is_guided_in_two_halves_where_that_is_asked_for(make: Make) -> None:
    model, prompts = make("flux", true_guidance=2.0), tiny.prompts(2)
    pipeline, noise = plain(model), noise_of(model, 2)
    theirs = pipeline(
        prompts, negative_prompt=["", ""], true_cfg_scale=2.0, guidance_scale=3.5, output_type="np",
        latents=pipeline._pack_latents(noise, *noise.shape), num_inference_steps=3, width=SIZE[0],
        height=SIZE[1], **T5,
    ).images  # fmt: skip
    ours = model.sample(model.encode_prompts(prompts), noise)
    torch.testing.assert_close(
        ours.int(), torch.from_numpy((theirs * 255).round()).int().permute(0, 3, 1, 2), rtol=0, atol=1
    )
    assert model.evaluations_per_image == 2 * make("flux").evaluations_per_image == 6
    assert not torch.equal(ours, make("flux").sample(model.encode_prompts(prompts), noise))


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluations_are_the_samples_through_the_denoiser(make: Make, family: str) -> None:
    model, samples = make(family), []
    hook = model.denoiser.register_forward_pre_hook(
        lambda _, inputs, named: samples.append(len(inputs[0] if inputs else named["hidden_states"])),
        with_kwargs=True,
    )
    model.sample(model.encode_prompts(tiny.prompts(3)), noise_of(model, 3))
    hook.remove()
    assert sum(samples) == 3 * model.evaluations_per_image
    assert max(samples) <= model.batch


@pytest.mark.parametrize("family", POOLED)
def test_a_conditioning_is_the_sequence_and_the_pooled_vector_as_one_more_row(
    make: Make, family: str
) -> None:
    model, prompts = make(family), [*tiny.prompts(2), ""]
    y = model.encode_prompts(prompts)
    pipeline = plain(model)
    if "flux" in family:
        sequence, pooled, _ = pipeline.encode_prompt(prompts, prompts, **T5)
    elif "sd3" in family:
        sequence, _, pooled, _ = pipeline.encode_prompt(
            prompts, None, None, do_classifier_free_guidance=False, **T5
        )
    else:
        sequence, _, pooled, _ = pipeline.encode_prompt(prompts, do_classifier_free_guidance=False)
    assert y.shape[1:] == model.rows.shape == (sequence.shape[1] + 1, sequence.shape[2])
    assert not y[:, -1, pooled.shape[1] :].any()
    torch.testing.assert_close(model.rows.unpack(y), (sequence, pooled), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.rows.pack(*model.rows.unpack(y)), y, rtol=0, atol=0)


def test_pixarts_conditioning_is_the_sequence_with_zeros_behind_its_mask(make: Make) -> None:
    model, prompts = make("pixart"), ["A RED boat on a lake ", "a boat", ""]
    y = model.encode_prompts(prompts)
    sequence, mask, _, _ = plain(model).encode_prompt(prompts, do_classifier_free_guidance=False, **T5)
    torch.testing.assert_close(y, torch.where(mask[..., None] == 1, sequence, 0.0))
    assert mask.sum(1).tolist() == (y != 0).any(-1).sum(1).tolist() == [7, 3, 1]
    assert model.content(prompts).sum(1).tolist() == [6, 2, 0]


def test_pixart_is_known_by_the_name_that_its_transformer_was_published_under(
    make: Make, folders: dict[str, Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(folders["pixart"], tmp_path / "published")
    edit(copy / "model_index.json", transformer=["diffusers", "Transformer2DModel"])
    older = {"num_vector_embeds": None, "only_cross_attention": False, "use_linear_projection": False}
    edit(copy / "transformer/config.json", _class_name="Transformer2DModel", **older)
    told = {"sampling_steps": 3, "guidance": 3.5, "size": SIZE, "text_tokens": T5_TOKENS}
    found, model = pretrained(str(copy), name="tiny", **told), make("pixart")
    y, noise = model.encode_prompts(tiny.prompts(1)), noise_of(model, 1)
    assert torch.equal(found.sample(y, noise), model.sample(y, noise))


def test_nemo_hears_pixarts_values_as_the_network_gives_them_the_text(make: Make) -> None:
    """Which is projected once, the same in every block and whatever the image."""
    model = make("pixart")
    y = model.encode_prompts(tiny.prompts(3))
    found = activations(model, model.layers("values"), y)
    transformer = plain(model).transformer
    assert len(found) == len(transformer.transformer_blocks) == 2
    for name, answers in found.items():
        values = transformer.get_submodule(name)(transformer.caption_projection(y))
        torch.testing.assert_close(answers, values.abs().mean(1))


def test_pixarts_padding_gets_no_gradient_and_its_loss_is_of_the_noise(make: Make) -> None:
    """The variance, the second half of what the network gives, is in no loss."""
    model = make("pixart")
    pipeline, t = plain(model), torch.tensor([10, 700])
    z, noise = noise_of(model, 2), torch.randn(2, *model.latent_shape)
    y = model.encode_prompts(tiny.prompts(2)).requires_grad_(True)
    _, mask, _, _ = pipeline.encode_prompt(tiny.prompts(2), do_classifier_free_guidance=False, **T5)
    with torch.no_grad():
        found = pipeline.transformer(
            pipeline.scheduler.add_noise(z, noise, t), y, t, encoder_attention_mask=mask,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample  # fmt: skip
    loss = model.loss(z, y, noise, t)
    torch.testing.assert_close(loss, (found[:, : z.shape[1]] - noise).square().mean((1, 2, 3)))
    loss.sum().backward()
    assert torch.equal((y.grad != 0).any(-1), mask == 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_fills_up_the_pooled_row_gets_no_gradient_and_all_else_does(make: Make, family: str) -> None:
    model = make(family)
    drawn = model.rows.gaussian(torch.Generator().manual_seed(0))
    assert torch.equal(drawn != 0, model.rows.read)
    y, (z, noise) = drawn[None].requires_grad_(True), noise_of(model, 2).split(1)
    model.loss(z, y, noise, torch.tensor([400])).sum().backward()
    assert torch.equal(y.grad[0] != 0, model.rows.read)


@pytest.mark.parametrize("family", ["sd3", "flux", "flux schnell"])
def test_a_flow_models_loss_is_that_of_the_training_script(make: Make, family: str) -> None:
    """|v(z_t, t, y) - (noise - z)|^2 at z_t = (1 - s) z + s noise, s the scheduler's own level."""
    model = make(family)
    pipeline, t = plain(model), torch.tensor([3, 500, 999])
    z, noise, y = (
        noise_of(model, 3),
        torch.randn(3, *model.latent_shape),
        model.encode_prompts(tiny.prompts(3)),
    )
    loss = model.loss(z, y, noise, t)
    for i in range(3):
        level = (t[i] + 1) / 1000
        if family == "sd3":  # shift, which FLUX's scheduler has for its sampler alone
            level = 3 * level / (1 + 2 * level)
        z_t = (1 - level) * z[i : i + 1] + level * noise[i : i + 1]
        sequence, pooled = y[i : i + 1, :-1], y[i : i + 1, -1, : model.rows.pooled]
        with torch.no_grad():
            if family == "sd3":
                v = pipeline.transformer(z_t, sequence, pooled, 1000 * level[None], return_dict=False)[0]
            else:
                ids = pipeline._prepare_latent_image_ids(1, z.shape[2] // 2, z.shape[3] // 2, "cpu", z.dtype)
                v = pipeline.transformer(
                    pipeline._pack_latents(z_t, *z_t.shape), sequence, pooled, level[None], ids,
                    torch.zeros(T5_TOKENS, 3), None if "schnell" in family else torch.tensor([3.5]),
                    return_dict=False,
                )[0]  # fmt: skip
                v = pipeline._unpack_latents(v, SIZE[1], SIZE[0], 4)
        expected = (v - (noise[i : i + 1] - z[i : i + 1])).square().mean()
        assert loss[i].item() == pytest.approx(expected.item(), rel=1e-4)


def test_xls_loss_is_of_the_noise_at_its_size(make: Make) -> None:
    model = make("xl")
    pipeline, t = plain(model), torch.tensor([10, 700])
    z, noise, y = (
        noise_of(model, 2),
        torch.randn(2, *model.latent_shape),
        model.encode_prompts(tiny.prompts(2)),
    )
    ids = torch.tensor([[SIZE[1], SIZE[0], 0, 0, SIZE[1], SIZE[0]]] * 2)
    z_t = pipeline.scheduler.add_noise(z, noise, t)
    with torch.no_grad():
        found = pipeline.unet(
            z_t, t, y[:, :-1],
            added_cond_kwargs={"text_embeds": y[:, -1, : model.rows.pooled], "time_ids": ids},
        ).sample  # fmt: skip
    torch.testing.assert_close(model.loss(z, y, noise, t), (found - noise).square().mean((1, 2, 3)))


def test_a_flows_times_are_logit_normal() -> None:
    """Against the draws of diffusers' training script, in distribution."""
    from diffusers.training_utils import compute_density_for_timestep_sampling

    from dori.diffusion.schedules.flow import Flow

    schedule = Flow(FlowMatchEulerDiscreteScheduler(shift=3.0), LOGIT_NORMAL, even=False)
    stream = torch.Generator().manual_seed(0)
    ours = schedule.draw(20_000, stream).double() / 1000
    theirs = compute_density_for_timestep_sampling(
        "logit_normal", 20_000, logit_mean=0.0, logit_std=1.0, generator=torch.Generator().manual_seed(1)
    )
    edges = torch.linspace(0.05, 0.95, 19)
    shares = [(each.double()[:, None] < edges).double().mean(0) for each in (ours, theirs)]
    assert (shares[0] - shares[1]).abs().max() < 0.02
    part = schedule.draw(20_000, stream, (200, 300))
    assert (part.min(), part.max()) == (200, 299)
    whole = ours[(ours >= 0.2) & (ours < 0.3)]
    assert float(part.double().mean()) / 1000 == pytest.approx(float(whole.mean()), abs=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prediction_of_the_truth_amounts_to_the_noise(make: Make, family: str) -> None:
    schedule, shape = make(family).schedule, make(family).latent_shape
    z, noise, t = torch.randn(3, *shape), torch.randn(3, *shape), torch.tensor([0, 500, 999])
    z_t = schedule.noised(z, noise, t)
    torch.testing.assert_close(schedule.as_noise(schedule.target(z, noise), z_t, t), noise)
    signal, spread = schedule.scales(t, z)
    torch.testing.assert_close(signal * z + spread * noise, z_t)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_become_latents_as_the_autoencoder_has_them(make: Make, family: str) -> None:
    model = make(family)
    vae = plain(model).vae
    images = torch.randint(256, (2, 3, SIZE[1], SIZE[0]), dtype=torch.uint8)
    with torch.no_grad():
        mean = vae.encode(images / 127.5 - 1).latent_dist.mean
    expected = (mean - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    torch.testing.assert_close(model.encode_images(images), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_is_the_same_and_loads_in_plain_diffusers(
    make: Make, tmp_path: Path, family: str
) -> None:
    model = make(family)
    model.save(tmp_path / "saved")
    again = pretrained(
        str(tmp_path / "saved"), name="again", sampling_steps=3, guidance=3.5, size=SIZE,
        text_tokens=T5_TOKENS,
    )  # fmt: skip
    y, noise = model.encode_prompts(tiny.prompts(1)), noise_of(model, 1)
    assert torch.equal(again.sample(y, noise), model.sample(y, noise))
    assert type(plain(again)) is type(plain(model))
