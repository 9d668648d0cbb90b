"""What other methods minimise, against their formulas written out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dori.attacks.paraphrase import paraphrases
from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.defenses.terms.erasing import ConceptAblationTerm, EsdTerm
from dori.defenses.terms.terms import Step, Term
from dori.defenses.terms.unlearning import AscentTerm, SissTerm
from dori.defenses.training.lora import choose
from dori.defenses.training.material import Material
from dori.diffusion import StableDiffusion
from tests.defenses.conftest import configured, material_of

TERMS: list[Term] = [AscentTerm(3), SissTerm(3), EsdTerm(3), ConceptAblationTerm(3)]


@pytest.fixture(scope="module")
def material(make_diffusion: Callable[..., StableDiffusion]) -> Material:
    """A model, beside another one that stands for it as it was."""
    material = material_of(make_diffusion("epsilon"))
    with torch.no_grad():
        for weight in material.untrained.denoiser.parameters():
            weight.mul_(0.9)
    return material


def step(material: Material, count: int = 2, number: int = 5) -> Step:
    y = material.diffusion.encode_prompts([t.prompt for t in material.targets[:count]])[:, None]
    return Step(0, number, material.targets[:count], y)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_draws_depend_on_the_update_alone(material: Material, term: Term) -> None:
    one, again, other = (term.draw(material, step(material, number=n)) for n in (5, 5, 6))
    assert {len(value) for value in one.values()} == {6}
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    assert term.loss(material.diffusion, one).shape == (6,)


@torch.no_grad()
def test_ascent_raises_the_loss_on_the_training_images_up_to_a_bound(material: Material) -> None:
    samples = AscentTerm(3).draw(material, step(material))
    for i, z in enumerate(samples["z"]):
        assert torch.equal(z, material.originals[material.targets[i // 3].name][0])
    plain = material.diffusion.loss(**samples)
    middle = float(plain.median())
    found = AscentTerm(3, most=middle).loss(material.diffusion, samples)
    torch.testing.assert_close(found, -plain.clamp(max=middle))


@torch.no_grad()
def test_siss_weighs_by_likelihood(material: Material) -> None:
    """Both likelihoods by torch's normal distribution, in double precision."""
    term = SissTerm(8, mixture=0.3, forget=0.7)
    samples = term.draw(material, step(material))
    # close together, so that both likelihoods count
    samples["a"] = samples["x"] + 0.01 * samples["a"]
    a, x, y, noise, t = (samples[key] for key in ("a", "x", "y", "noise", "t"))
    bar = material.diffusion.schedule.scheduler.alphas_cumprod[t].double().view(-1, 1, 1, 1)
    z_t = bar.sqrt() * samples["z"] + (1 - bar).sqrt() * noise
    q_x, q_a = (
        torch.distributions.Normal(bar.sqrt() * each, (1 - bar).sqrt()).log_prob(z_t).sum((1, 2, 3))
        for each in (x, a)
    )
    mixture = torch.logaddexp(q_x + torch.tensor(0.7).log(), q_a + torch.tensor(0.3).log())
    predicted = material.diffusion.predict(z_t.float(), t, y)
    noises = [(z_t - bar.sqrt() * each) / (1 - bar).sqrt() for each in (x, a)]
    keep, forget = (
        (q - mixture).exp() * (predicted - noise).square().mean((1, 2, 3))
        for q, noise in zip((q_x, q_a), noises, strict=True)
    )
    found = term.loss(material.diffusion, samples)
    torch.testing.assert_close(found.double(), keep - 0.7 * forget, rtol=1e-2, atol=1e-3)


@given(mixture=st.floats(0.05, 0.95))
def test_siss_draws_as_many_around_the_memorized_image_as_it_says(
    make_diffusion: Callable[..., StableDiffusion], mixture: float
) -> None:
    material = material_of(make_diffusion("epsilon"), 1)
    found = SissTerm(200, mixture=mixture).draw(material, step(material, 1))
    around = (found["z"] == found["a"]).flatten(1).all(1)
    assert torch.equal(found["z"][~around], found["x"][~around])
    assert abs(float(around.float().mean()) - mixture) < 0.2


@torch.no_grad()
def test_esd_turns_away_from_what_the_prompt_added(material: Material) -> None:
    samples = EsdTerm(2, strength=1.5).draw(material, step(material))
    assert samples["t"].min() >= 0
    assert samples["t"].max() < 1000
    before = material.original
    nothing, prompted = (
        before.predict(samples["z_t"], samples["t"], y)
        for y in (before.empty.expand_as(samples["y"]), samples["y"])
    )
    torch.testing.assert_close(samples["target"], 2.5 * nothing - 1.5 * prompted, rtol=1e-3, atol=1e-4)
    predicted = material.diffusion.predict(samples["z_t"], samples["t"], samples["y"])
    found = EsdTerm(2).loss(material.diffusion, samples)
    torch.testing.assert_close(found, (predicted - samples["target"]).square().mean((1, 2, 3)))


@torch.no_grad()
def test_esds_latents_are_those_of_the_model_as_it_is(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it may stop: after as many steps of the sampler, at a timestep of the stride there."""
    steps, now = material.diffusion.sampling_steps, step(material, 1)
    y = now.embeddings[:, 0].expand(2, -1, -1)
    noise = torch.randn((2, *material.diffusion.latent_shape), generator=generator(0, "esd", 5))
    walk = list(material.diffusion.denoise(y, noise, steps=steps, guidance=3.0))
    reached = [noise, *walk]
    times = [int(t) for t, _ in material.diffusion.schedule.walk(steps, ())]
    draw = torch.randint
    for stop in range(steps):

        def chosen(low: int, *rest: Any, stop: int = stop, **named: Any) -> torch.Tensor:
            return torch.tensor([stop]) if rest == ((1,),) else draw(low, *rest, **named)

        monkeypatch.setattr(torch, "randint", chosen)
        found = EsdTerm(2).draw(material, now)
        torch.testing.assert_close(found["z_t"], reached[stop], rtol=1e-3, atol=1e-4)
        low = times[stop] - 1  # DDIM's offset
        assert all(low <= t < low + 1000 // steps for t in found["t"].tolist())


@torch.no_grad()
def test_concept_ablation_imitates_the_original_at_a_paraphrase(material: Material) -> None:
    term = ConceptAblationTerm(2, share=0.3, anchors=3)
    now = step(material)
    samples = term.draw(material, now)
    before = material.original
    for i, target in enumerate(samples["target"]):
        name = now.targets[i // 2].name
        texts = list(paraphrases(now.targets[i // 2].prompt, 3, generator(0, "anchors", name), 0.3))
        ys = before.encode_prompts(texts)
        one = {key: samples[key][i : i + 1].expand(len(ys), *samples[key][i].shape) for key in ("z_t", "t")}
        found = before.predict(one["z_t"], one["t"], ys)
        assert min(float((each - target).abs().max()) for each in found) < 1e-3


def test_only_the_chosen_weights_are_trained(make_diffusion: Callable[..., StableDiffusion]) -> None:
    unet = make_diffusion("epsilon").denoiser
    choose(unet, "attn2")
    trained = {name for name, weight in unet.named_parameters() if weight.requires_grad}
    assert trained == {name for name, _ in unet.named_parameters() if "attn2" in name} != set()
    with pytest.raises(InputError, match="no weight of the denoiser has 'attn9' in its name"):
        choose(unet, "attn9")


@pytest.mark.parametrize("option", ["esd", "concept_ablation", "siss", "gradient_ascent", "plain"])
def test_each_trains_and_ends_with_other_weights(
    trained: Callable[..., dict[str, torch.Tensor]], make_diffusion: Callable[..., StableDiffusion],
    tmp_path_factory: pytest.TempPathFactory, option: str,
) -> None:  # fmt: skip
    settings = replace(configured(option=option), epochs=1, micro_batch=2)
    found = trained(tmp_path_factory.mktemp(option), settings)
    before = make_diffusion("epsilon").denoiser.state_dict()
    changed = {key for key in found if not torch.equal(found[key], before[key])}
    assert changed
    if settings.weights:
        assert all(settings.weights in key for key in changed)
    whole = trained(tmp_path_factory.mktemp(option), replace(settings, micro_batch=64))
    for key in changed:
        torch.testing.assert_close(whole[key], found[key], rtol=1e-3, atol=5e-5)


def test_what_cannot_be_is_refused() -> None:
    for make, text in (
        (lambda: SissTerm(2, mixture=1.0), "siss.mixture must lie between 0 and 1"),
        (lambda: AscentTerm(0), "ascent.pairs must be above zero"),
        (lambda: EsdTerm(2, guidance=0), "esd.guidance must be above zero"),
        (lambda: ConceptAblationTerm(2, share=2), "concept_ablation.share must lie between 0 and 1"),
        (lambda: configured("+defense.weights=attn2", option="adversarial_lora"), "two choices"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=text):
            make()
