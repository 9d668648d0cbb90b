"""Activations at fixed noise: recorded where they are said to be, and compared in any blocks and batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dori.diffusion import StableDiffusion, pretrained
from dori.pruning import Wanda
from dori.pruning.nemo.statistics import activations as nemo_answers
from dori.studies.locality.analysis import activations as act
from dori.studies.locality.analysis import criteria
from dori.studies.locality.inside import prunable
from tests import tiny
from tests.diffusion.pipelines import T5_TOKENS, saved

Make = Callable[..., StableDiffusion]


@pytest.fixture
def model(make_diffusion: Make) -> StableDiffusion:
    return make_diffusion("epsilon", batch=4)


@pytest.fixture
def y(model: StableDiffusion) -> torch.Tensor:
    return model.encode_prompts(tiny.prompts(5))


def layers(model: StableDiffusion) -> dict:
    return {**model.layers("values"), **model.layers("feed_forward")}


def test_activations_are_the_outputs_of_the_layers(model: StableDiffusion, y: torch.Tensor) -> None:
    noise, some = act.fixed_noise(model, 0), layers(model)
    found = act.activations(model, some, y, noise)
    values = model.layers("values")
    for name, layer in values.items():
        assert torch.allclose(found[name], layer(y).flatten(1), atol=1e-6)
    answers = act.activations(model, some, y, noise, act.answer)
    for name, a in nemo_answers(model, values, y).items():
        assert torch.allclose(answers[name], a, atol=1e-6)  # NeMo's own
    assert {tuple(x.shape) for x in answers.values()} == {(5, layer.out_features) for layer in some.values()}
    assert not any(module._forward_hooks for module in model.denoiser.modules())


@pytest.mark.parametrize(("size", "batch"), [(5, 8), (2, 8), (1, 4), (3, 1)])
def test_blocks_and_batches_make_no_difference(
    make_diffusion: Make, y: torch.Tensor, size: int, batch: int
) -> None:
    model = make_diffusion("epsilon", batch=batch)
    noise, some, samples = act.fixed_noise(model, 0), layers(model), []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    parts = [act.block_distances(model, some, y, noise, first, size) for first in range(0, len(y), size)]
    hook.remove()
    found = act.whole(parts)
    assert sum(samples) == act.samples(len(y), size)
    assert max(samples) <= batch
    outputs = act.activations(model, some, y, noise)
    for name, x in outputs.items():
        plain = np.array([[(a - b).double().norm().item() for b in x] for a in x])
        assert np.allclose(found[name].numpy(), plain, rtol=1e-4, atol=1e-5)
        assert np.allclose(found[f"norm/{name}"].numpy(), x.double().norm(dim=1).numpy(), rtol=1e-5)


def test_criteria_take_the_same_share_of_every_layer(model: StableDiffusion, y: torch.Tensor) -> None:
    noise, some = act.fixed_noise(model, 0), layers(model)
    usual = model.encode_prompts(tiny.prompts(6, 20))
    scores = {
        "nemo": criteria.nemo(model, some, y, usual, noise),
        "wanda": criteria.wanda(model, some, y, Wanda(steps=4, used=2)),
        "magnitude": criteria.magnitude(model, some, len(y)),
    }
    chosen = {name: criteria.highest(found, 0.1) for name, found in scores.items()}
    for found in chosen.values():
        counts = [part.sum(1).tolist() for part in found]
        assert counts == [[max(1, round(0.1 * layer.out_features))] * 5 for layer in some.values()]
    assert (criteria.iou(chosen["magnitude"], chosen["magnitude"]) == 1).all()
    overlap = criteria.iou(chosen["nemo"], chosen["wanda"])
    assert overlap.shape == (5, 5) and overlap.min() >= 0 and overlap.max() < 1


def test_iou_of_selections_by_hand() -> None:
    a = [np.array([[True, False, True]]), np.array([[True, False]])]
    b = [np.array([[True, True, False]]), np.array([[False, True]])]
    assert criteria.iou(a, b) == pytest.approx(1 / 5)
    highest = criteria.highest({"l": torch.tensor([[1.0, 3, 3, 2]])}, 0.5)
    assert highest[0].tolist() == [[False, True, True, False]]
    assert criteria.highest({"l": torch.tensor([[2.0, 2, 2, 2]])}, 0.1)[0].tolist() == [
        [True, False, False, False]
    ]


def test_wandas_score_is_nothing_for_the_empty_prompt_itself(model: StableDiffusion) -> None:
    found = criteria.wanda(model, layers(model), model.empty, Wanda(steps=4, used=2))
    assert all(float(score.abs().max()) == 0 for score in found.values())


def test_of_a_layer_that_is_two_in_one_the_feed_forwards_columns_count(tmp_path: Path) -> None:
    """FLUX's single blocks: 16 columns read the attention, 64 the feed-forward."""
    model = pretrained(
        str(saved("flux", tmp_path)), name="tiny", sampling_steps=2, size=(32, 24), text_tokens=T5_TOKENS
    )
    some, name = model.layers("feed_forward"), "single_transformer_blocks.0.proj_out"
    weight, y = some[name].weight.double().abs(), model.encode_prompts(tiny.prompts(2))
    scored = criteria.magnitude(model, some, 2)[name]
    assert torch.allclose(scored, weight[:, 16:].sum(1).expand(2, -1))
    assert criteria.wanda(model, some, y, Wanda(steps=2, used=1))[name].shape == (2, 16)
    assert prunable(model, {name: weight.numel(), "transformer_blocks.0.ff.net.2": 1024}) == [16 * 64, 1024]
