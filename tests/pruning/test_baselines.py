"""Random, magnitude and saliency: each against its plain definition, all at one budget.

Saliency in float64, so that floating-point noise cannot turn a comparison of scores.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.data import Data, Target
from dori.data.targets import Ordinary, tensor
from dori.diffusion import StableDiffusion
from dori.pruning import Magnitude, Random, Saliency, Wanda
from dori.pruning.baselines import random
from dori.pruning.masks import Mask, count, iou, pruned
from dori.pruning.selection import Keep, Method, Selection
from tests import tiny

Make = Callable[..., StableDiffusion]
SALIENCY = Saliency(ratio=0.05, pairs=3, ordinary=4, batch=64, seed=3)
WANDA = Wanda(ratio=0.1, steps=4, used=2)


def keep(*arguments: object) -> None:
    raise AssertionError("nothing is kept")


@dataclass(frozen=True)
class Neurons:
    """So many neurons of each value layer, one more for every target."""

    number: int = 3
    per_prompt: bool = True
    name: str = "neurons"

    def check(self, diffusion: StableDiffusion, data: Data) -> None:
        pass

    def select(self, diffusion: StableDiffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        sizes = {name: layer.out_features for name, layer in diffusion.layers("values").items()}
        masks = [
            {name: torch.arange(size) < self.number + place for name, size in sizes.items()}
            for place in range(len(targets) if self.per_prompt else 1)
        ]
        return Selection(masks, evaluations=5)


@pytest.fixture(scope="module")
def data() -> Data:
    targets = [
        Target(f"verbatim/{i}", text, "verbatim", tiny.picture(i)) for i, text in enumerate(tiny.prompts(3))
    ]
    pictures = [tiny.picture(50 + i) for i in range(5)]
    return Data(targets, Ordinary(tiny.prompts(5, 20), list(pictures)))


def select(method: Method, model: StableDiffusion, data: Data) -> list[Mask]:
    return method.select(model, data.targets, data, keep).masks


def plain_saliency(
    model: StableDiffusion, layers: list[str], saliency: Saliency, pairs: list[tuple[str, str, Tensor]]
) -> dict[str, Tensor]:
    """One sample after another through the U-Net, the noise added and the error taken by hand."""
    unet, alphas = model.denoiser, model.pipeline.scheduler.alphas_cumprod.double()
    vae = model.pipeline.vae
    unet.requires_grad_(True)
    unet.zero_grad()
    for name, prompt, image in pairs:
        stream = generator(saliency.seed, "saliency", name)
        t = torch.randint(1000, (saliency.pairs,), generator=stream)
        noise = torch.randn(saliency.pairs, *model.latent_shape, generator=stream).double()
        z = vae.encode(image[None].double() / 127.5 - 1).latent_dist.mean * vae.config.scaling_factor
        for i in range(saliency.pairs):
            a = alphas[t[i]]
            noisy = a.sqrt() * z + (1 - a).sqrt() * noise[i]
            out = unet(noisy, t[i], model.encode_prompts([prompt])).sample
            if model.schedule.scheduler.config.prediction_type == "v_prediction":
                out = a.sqrt() * out + (1 - a).sqrt() * noisy
            loss = ((out - noise[i]) ** 2).mean()
            (loss / (len(pairs) * saliency.pairs)).backward()
    weights = {name: unet.get_submodule(name).weight for name in layers}
    scores = {name: (w * w.grad).abs().detach() for name, w in weights.items()}
    unet.zero_grad()
    unet.requires_grad_(False)
    return scores


def plain_mask(score: Tensor, number: int) -> Tensor:
    ranked = sorted(range(score.numel()), key=lambda i: (-score.flatten()[i].item(), i))
    mask = torch.zeros(score.numel(), dtype=torch.bool)
    mask[ranked[:number]] = True
    return mask.view(score.shape)


def reference(model: StableDiffusion, saliency: Saliency, data: Data, layers: list[str]) -> dict[str, Tensor]:
    images = tensor([target.pixels() for target in data.targets], model.size)
    own = [(t.name, t.prompt, image) for t, image in zip(data.targets, images, strict=True)]
    pictures = data.ordinary.tensor(model.size, 0, saliency.ordinary)
    usual = [(f"ordinary/{i:05d}", data.ordinary.captions[i], image) for i, image in enumerate(pictures)]
    memorized, ordinary = (plain_saliency(model, layers, saliency, pairs) for pairs in (own, usual))
    return {name: memorized[name] - ordinary[name] for name in layers}


@pytest.mark.parametrize(("prediction", "choice"), [("epsilon", "feed_forward"), ("v_prediction", "values")])
def test_saliency_is_that_of_one_sample_at_a_time(
    make_diffusion: Make, data: Data, prediction: str, choice: str
) -> None:
    model = make_diffusion(prediction, dtype="float64")
    saliency = replace(SALIENCY, layers=choice)
    layers = list(model.layers(choice))
    scores = reference(model, saliency, data, layers)
    (found,) = select(saliency, model, data)
    assert list(found) == layers
    for name, score in scores.items():
        assert torch.equal(found[name], plain_mask(score, round(0.05 * score.numel()))), name
    # neither term decides alone
    assert all((score > 0).any() and (score < 0).any() for score in scores.values())
    for batch in (2, 7):  # fewer than an image's pairs; two images, and a rest
        (again,) = select(replace(saliency, batch=batch), model, data)
        assert all(torch.equal(again[name], found[name]) for name in found)


def test_saliency_of_neurons_is_the_sum_over_their_weights_and_each_targets_own(
    make_diffusion: Make, data: Data
) -> None:
    model = make_diffusion("epsilon", dtype="float64")
    saliency = replace(SALIENCY, ratio=None, like=Neurons())
    layers = list(model.layers("values"))
    found = select(saliency, model, data)
    assert saliency.per_prompt
    assert len(found) == len(data.targets)
    for place, target in enumerate(data.targets):
        scores = reference(model, saliency, replace(data, targets=[target]), layers)
        for name, score in scores.items():
            assert torch.equal(found[place][name], plain_mask(score.sum(1), 3 + place)), name
    together = replace(saliency, like=Neurons(per_prompt=False))
    assert len(select(together, model, data)) == 1
    assert not together.per_prompt


def test_the_order_and_the_company_of_targets_do_not_change_their_noise(
    make_diffusion: Make, data: Data
) -> None:
    model = make_diffusion("epsilon", dtype="float64")
    (one,) = select(SALIENCY, model, data)
    (other,) = select(SALIENCY, model, replace(data, targets=data.targets[::-1]))
    assert all(torch.equal(one[name], other[name]) for name in one)
    (seeded,) = select(replace(SALIENCY, seed=4), model, data)
    assert 0 < iou(one, seeded) < 1


def test_saliency_leaves_the_model_as_it_was(make_diffusion: Make, data: Data) -> None:
    model = make_diffusion()
    before = {key: value.clone() for key, value in model.denoiser.state_dict().items()}
    first = next(model.denoiser.parameters()).requires_grad_(True)
    model.denoiser.train()
    select(SALIENCY, model, data)
    assert all(torch.equal(value, before[key]) for key, value in model.denoiser.state_dict().items())
    assert all(p.grad is None and p.requires_grad == (p is first) for p in model.denoiser.parameters())
    assert model.denoiser.training


def test_saliency_counts_samples_forward_and_backward(make_diffusion: Make, data: Data) -> None:
    model, samples = make_diffusion(), []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    found = replace(SALIENCY, batch=5).select(model, data.targets, data, keep)
    hook.remove()
    assert sum(samples) == found.evaluations == (3 + 4) * 3
    assert max(samples) <= 5
    like = replace(SALIENCY, ratio=None, like=Neurons())
    assert like.select(model, data.targets, data, keep).evaluations == 5 + (3 + 4) * 3
    # fewer ordinary pictures than asked for
    assert replace(SALIENCY, ordinary=99).select(model, data.targets, data, keep).evaluations == (3 + 5) * 3


def test_what_saliency_cannot_do_without_is_asked_for(make_diffusion: Make, data: Data) -> None:
    model = make_diffusion()
    captions_only = Data(data.targets, Ordinary(["a boat"]))
    with pytest.raises(InputError, match=r"saliency compares with ordinary pictures.*give data\.ordinary"):
        select(SALIENCY, model, captions_only)
    with pytest.raises(InputError, match="there are no targets"):
        select(SALIENCY, model, replace(data, targets=[]))
    for key in ("pairs", "ordinary", "batch"):
        with pytest.raises(InputError, match=rf"pruning\.{key} must be above zero, but is 0"):
            replace(SALIENCY, **{key: 0})


def test_a_gradient_that_is_not_finite_is_refused(make_diffusion: Make, data: Data) -> None:
    model = make_diffusion("epsilon")
    model.denoiser.conv_out.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match=r"no finite gradient at layer down_blocks.*model\.dtype=float32"):
        select(SALIENCY, model, data)


@pytest.mark.parametrize("choice", ["feed_forward", "all_values"])
def test_magnitude_takes_the_largest_weights(make_diffusion: Make, data: Data, choice: str) -> None:
    model = make_diffusion()
    (found,) = select(Magnitude(layers=choice, count=500), model, data)
    assert count(found) == 500
    for name, layer in model.layers(choice).items():
        assert torch.equal(found[name], plain_mask(layer.weight.abs(), int(found[name].sum())))


def test_magnitude_of_a_neuron_is_its_weights_together(make_diffusion: Make, data: Data) -> None:
    model = make_diffusion()
    masks = select(Magnitude(like=Neurons()), model, data)
    for place, mask in enumerate(masks):
        for name, layer in model.layers("values").items():
            assert torch.equal(mask[name], plain_mask(layer.weight.double().abs().sum(1), 3 + place))


def test_random_draws_the_share_of_each_layer(make_diffusion: Make, data: Data) -> None:
    model = make_diffusion()
    (found,) = select(Random(ratio=0.3), model, data)
    for name, layer in model.layers("feed_forward").items():
        assert int(found[name].sum()) == round(0.3 * layer.weight.numel())
    (again,), (other,) = (
        select(Random(ratio=0.3), model, data),
        select(Random(ratio=0.3, seed=1), model, data),
    )
    assert iou(found, again) == 1
    assert iou(found, other) == pytest.approx(0.3 / 1.7, abs=0.02)  # chance


def test_random_like_a_method_is_the_baseline_beside_it(make_diffusion: Make, data: Data) -> None:
    model = make_diffusion()
    (wanda,), (found,) = select(WANDA, model, data), select(Random(like=WANDA, seed=2), model, data)
    assert iou(found, random.like(wanda, make_diffusion().first_column, 2)) == 1


def test_targets_draw_apart_from_each_other(make_diffusion: Make, data: Data) -> None:
    masks = select(Random(like=Neurons(number=8)), make_diffusion(), data)
    small, large = masks[0], masks[2]
    assert all(int(large[name].sum()) == int(small[name].sum()) + 2 for name in small)
    assert not all((large[name] | ~small[name]).all() for name in small)
    reverse = replace(data, targets=data.targets[::-1])
    again = select(Random(like=Neurons(number=8)), make_diffusion(), reverse)
    assert iou(again[1], masks[1]) == 1


@pytest.mark.parametrize("like", [WANDA, replace(WANDA, apply="per_prompt"), Neurons()])
def test_all_take_as_many_of_each_layer_as_the_method_they_stand_beside(
    make_diffusion: Make, data: Data, like: Method
) -> None:
    model = make_diffusion()
    before = {key: value.clone() for key, value in model.denoiser.state_dict().items()}
    expected = select(like, model, data)
    for method in (Random(like=like), Magnitude(like=like), replace(SALIENCY, ratio=None, like=like)):
        assert method.per_prompt == like.per_prompt
        found = select(method, model, data)
        for mask, other in zip(found, expected, strict=True):
            assert {n: (p.shape, int(p.sum())) for n, p in mask.items()} == {
                n: (p.shape, int(p.sum())) for n, p in other.items()
            }
            with pruned(model.denoiser, mask):
                pass
    assert all(torch.equal(value, before[key]) for key, value in model.denoiser.state_dict().items())
