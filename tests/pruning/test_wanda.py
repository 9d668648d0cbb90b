"""Wanda against a plain reference, written from the paper's description without any of its savings.

In float64, so that floating-point noise cannot turn a comparison of scores.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler

from dori.core.errors import InputError
from dori.data import Data
from dori.data.targets import Ordinary
from dori.diffusion import StableDiffusion, pretrained
from dori.diffusion.schedules.ddim import Ddim
from dori.pruning import Wanda
from dori.pruning.masks import count
from tests import tiny
from tests.diffusion.pipelines import T5_TOKENS, saved
from tests.pruning.wanda_reference import reference

Make = Callable[..., StableDiffusion]
WANDA = Wanda(ratio=0.1, steps=6, used=3, scheduler="ddim", guidance=3.0, seed=4)


def with_denoiser(model: StableDiffusion, seed: int) -> StableDiffusion:
    """The model with other random weights, its text layers large enough that prompts matter."""
    unet = tiny.build_unet(seed).requires_grad_(False).eval()
    for name, module in unet.named_modules():
        if name.endswith(("attn2.to_v", "attn2.to_out.0", "attn2.to_q")):
            module.weight.mul_(3)
    model.pipeline.unet = unet.double()
    return model


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_masks_are_those_of_the_plain_method(make_diffusion: Make, seed: int) -> None:
    prompts = tiny.prompts(3, 7 * seed)
    model = with_denoiser(make_diffusion("epsilon", dtype="float64", batch=64), seed)
    expected = reference(model, WANDA, prompts)
    found = WANDA.mask(model, prompts)
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name
    # neither of the two conditions decides alone
    most = sum(len(p) * math.floor(WANDA.ratio * p.shape[1]) * WANDA.used for p in found.values())
    assert 0 < count(found) < most
    model.batch = 4  # two prompts at once, then one
    again = WANDA.mask(model, prompts)
    assert all(torch.equal(again[name], expected[name]) for name in expected)


@pytest.mark.parametrize("scheduler", ["published", "ddim"])
def test_masks_of_a_v_prediction_model_are_those_of_the_plain_method(
    make_diffusion: Make, scheduler: str
) -> None:
    model = with_denoiser(make_diffusion("v_prediction", dtype="float64"), 4)
    wanda = replace(WANDA, scheduler=scheduler, used=5)
    expected, found = reference(model, wanda, tiny.prompts(2)), wanda.mask(model, tiny.prompts(2))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("seed", [1, 2])
def test_masks_by_the_published_sampler_are_those_of_the_plain_method(
    make_diffusion: Make, seed: int
) -> None:
    """Six calls: PNDM's own start, and all orders of its sums."""
    model = with_denoiser(make_diffusion("epsilon", dtype="float64", batch=4), seed)
    wanda, prompts = replace(WANDA, scheduler="published", used=6), tiny.prompts(3, 7 * seed)
    expected, found = reference(model, wanda, prompts), wanda.mask(model, prompts)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    by_ddim = replace(wanda, scheduler="ddim").mask(model, prompts)
    assert not all(torch.equal(found[name], by_ddim[name]) for name in expected)


def test_the_published_sampler_looks_twice_at_the_second_timestep(make_diffusion: Make) -> None:
    """51 calls for 50 steps, the first ten of which end at t = 821; DDIM's at 801."""
    model = make_diffusion("epsilon")
    times = [int(t) for t, _ in model.schedule.walk(50, model.latent_shape, plms=True)]
    assert len(times) == 51
    assert times[:10] == [981, 961, 961, 941, 921, 901, 881, 861, 841, 821]
    assert [int(t) for t, _ in model.schedule.walk(50, model.latent_shape)][9] == 801


def test_a_schedule_that_pndm_does_not_know_is_refused(make_diffusion: Make) -> None:
    model = make_diffusion("v_prediction")
    told = {**model.schedule.scheduler.config, "rescale_betas_zero_snr": True}
    model.__dict__["schedule"] = Ddim(DDIMScheduler.from_config(told))
    replace(WANDA, steps=5).check(model, Data([], Ordinary([]), []))
    with pytest.raises(InputError, match=r"zero terminal SNR.*pruning\.scheduler=ddim"):
        replace(WANDA, scheduler="published", steps=5).check(model, Data([], Ordinary([]), []))


def test_masks_against_ordinary_captions_are_those_of_the_plain_method(make_diffusion: Make) -> None:
    model = with_denoiser(make_diffusion("epsilon", dtype="float64"), 5)
    prompts, captions = tiny.prompts(2), tiny.prompts(5, 20)
    wanda = replace(WANDA, base="ordinary")
    expected, found = reference(model, wanda, prompts, captions), wanda.mask(model, prompts, captions)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    against_empty = WANDA.mask(model, prompts, captions)
    assert not all(torch.equal(found[name], against_empty[name]) for name in expected)


@pytest.mark.parametrize("ratio", [0.02, 0.3])
def test_no_row_loses_more_than_its_share_at_each_step(make_diffusion: Make, ratio: float) -> None:
    wanda = replace(WANDA, ratio=ratio)
    found = wanda.mask(make_diffusion(), tiny.prompts(2))
    for part in found.values():
        assert (part.sum(1) <= math.floor(ratio * part.shape[1]) * wanda.used).all()
    assert count(found) > 0


def test_a_step_more_only_adds_weights(make_diffusion: Make) -> None:
    model = make_diffusion("epsilon", dtype="float64")
    fewer, more = (replace(WANDA, used=n).mask(model, tiny.prompts(2)) for n in (1, 2))
    assert all((more[name] | ~fewer[name]).all() for name in more)
    assert count(more) > count(fewer)


def test_the_order_of_the_prompts_does_not_matter(make_diffusion: Make) -> None:
    model = make_diffusion("epsilon", dtype="float64")
    prompts = tiny.prompts(3)
    one, other = WANDA.mask(model, prompts), WANDA.mask(model, prompts[::-1])
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("guidance", [1, 3.0])
def test_evaluations_are_the_samples_through_the_unet(make_diffusion: Make, guidance: float) -> None:
    model, wanda = make_diffusion(batch=4), replace(WANDA, guidance=guidance)
    samples = []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    wanda.mask(model, tiny.prompts(5))
    assert sum(samples) == wanda.evaluations(5)
    samples.clear()
    against = replace(wanda, base="ordinary")
    against.mask(model, tiny.prompts(5), tiny.prompts(3, 20))
    hook.remove()
    assert sum(samples) == against.evaluations(5, 3)
    assert max(samples) <= model.batch


@pytest.mark.parametrize(("family", "halves"), [("sd3", 2), ("flux", 1)])
def test_the_cost_that_is_told_beforehand_is_what_is_spent(tmp_path: Path, family: str, halves: int) -> None:
    """FLUX is told its guidance, and guided in one half."""
    folder = saved(family, tmp_path / "pipeline")
    model = pretrained(str(folder), name="tiny", text_tokens=T5_TOKENS, size=(32, 24), batch=4)
    samples: list[int] = []
    model.denoiser.register_forward_pre_hook(
        lambda _, _inputs, named: samples.append(len(named["hidden_states"])), with_kwargs=True
    )
    WANDA.mask(model, tiny.prompts(5))
    told = WANDA.cost(model, 5, Data([], Ordinary([]))).forward
    assert sum(samples) == told == (5 + 1) * WANDA.used * halves


def test_the_model_is_left_as_it_was(make_diffusion: Make) -> None:
    model = make_diffusion()
    before = {key: value.clone() for key, value in model.denoiser.state_dict().items()}
    WANDA.mask(model, tiny.prompts(1))
    assert all(torch.equal(value, before[key]) for key, value in model.denoiser.state_dict().items())
    assert all(p.grad is None for p in model.denoiser.parameters())
    assert not any(module._forward_pre_hooks for module in model.denoiser.modules())


@pytest.mark.parametrize("ratio", [0, 1.01, 2, -0.1, float("nan")])
def test_a_ratio_outside_the_unit_interval_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=f"pruning.ratio must lie between 0 and 1, but is {ratio}"):
        Wanda(ratio=ratio)


@pytest.mark.parametrize(("settings", "text"), [
    ({"used": 0}, "pruning.used must be above zero, but is 0"),
    ({"used": -1}, "pruning.used must be above zero, but is -1"),
    ({"scheduler": "pndm"}, "unknown pruning.scheduler 'pndm'"),
    ({"steps": 5, "used": 6}, r"pruning.steps \(5\) must reach pruning.used \(6\)"),
])  # fmt: skip
def test_steps_that_cannot_be_run_are_refused(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Wanda(**settings)


def test_a_ratio_that_selects_nothing_is_refused_with_the_smallest_that_does(make_diffusion: Make) -> None:
    with pytest.raises(
        InputError, match=r"ratio 0\.01 selects no weight: layer down.* has 64 columns.*0\.016"
    ):
        replace(WANDA, ratio=0.01).mask(make_diffusion(), tiny.prompts(1))


def test_a_base_that_is_not_there_is_refused(make_diffusion: Make) -> None:
    with pytest.raises(InputError, match=r"unknown pruning\.base 'emty'; did you mean 'empty'"):
        Wanda(base="emty")
    with pytest.raises(InputError, match="base=ordinary needs ordinary captions"):
        replace(WANDA, base="ordinary").mask(make_diffusion(), tiny.prompts(1), [])
