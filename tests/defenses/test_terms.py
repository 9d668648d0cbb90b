"""What is minimised: draws that depend on the update alone, and losses per sample."""

import copy
from collections.abc import Callable

import pytest
import torch
import yaml

from dori.core.config import PACKAGE, build
from dori.core.errors import InputError
from dori.defenses.terms.terms import OrdinaryTerm, Step, SurrogateTerm, together
from dori.defenses.training.material import Material
from dori.diffusion import StableDiffusion
from dori.minnow.unet import weights
from tests import tiny
from tests.defenses.conftest import material_of


@pytest.fixture(scope="module")
def material(make_diffusion: Callable[..., StableDiffusion]) -> Material:
    return material_of(make_diffusion("epsilon"))


def step(material: Material, number: int = 3, count: int = 2, restarts: int = 2) -> Step:
    shape = material.diffusion.empty.shape[1:]
    embeddings = torch.randn(count, restarts, *shape, generator=torch.Generator().manual_seed(number))
    return Step(0, number, material.targets[:count], embeddings)


def test_ordinary_pairs_are_drawn_anew_at_every_update(material: Material) -> None:
    term = OrdinaryTerm(batch=40, empty_prompts=0.25)
    one, again, other = (term.draw(material, step(material, n)) for n in (3, 3, 4))
    assert {key: len(value) for key, value in one.items()} == dict.fromkeys(("z", "y", "noise", "t"), 40)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["noise"], other["noise"])
    # every sample is a pair, or a picture without its caption
    texts = material.diffusion.encode_prompts(material.captions)
    empty = 0
    for z, y in zip(one["z"], one["y"], strict=True):
        (place,) = [i for i, latent in enumerate(material.latents) if torch.equal(latent, z)]
        bare = torch.allclose(y, material.diffusion.empty[0], atol=1e-5)
        empty += bare
        assert bare or torch.allclose(y, texts[place], atol=1e-5)
    assert 2 <= empty <= 20
    assert one["t"].max() > 500


def test_a_target_learns_its_own_surrogates_at_its_own_embeddings(material: Material) -> None:
    now = step(material)
    found = SurrogateTerm(pairs=3).draw(material, now)
    assert len(found["z"]) == 2 * 2 * 3
    for i, (z, y) in enumerate(zip(found["z"], found["y"], strict=True)):
        target = now.targets[i // 6]
        assert any(torch.equal(z, own) for own in material.surrogates[target.name])
        assert torch.equal(y, now.embeddings[i // 6, i // 3 % 2])


def test_a_targets_draws_are_the_same_in_any_company(material: Material) -> None:
    now = step(material)
    alone = Step(0, now.number, now.targets[1:], now.embeddings[1:])
    both, one = (SurrogateTerm(pairs=3).draw(material, each) for each in (now, alone))
    assert all(torch.equal(both[key][6:], one[key]) for key in one)


@torch.no_grad()
def test_the_loss_is_the_denoising_loss(material: Material) -> None:
    for term in (OrdinaryTerm(batch=4), SurrogateTerm(pairs=1)):
        samples = term.draw(material, step(material))
        expected = material.diffusion.loss(**samples)
        assert torch.equal(term.loss(material.diffusion, samples), expected)


@torch.no_grad()
def test_a_model_goes_on_with_the_weights_that_it_was_trained_with(material: Material) -> None:
    """Minnow's own, from its recipe's code; of mean 1 over the schedule."""
    plain, weighted = material.diffusion, copy.copy(material.diffusion)
    weighted.loss_weight_cap = 5.0
    samples = OrdinaryTerm(batch=16).draw(material, step(material))
    expected = weights(plain.schedule.scheduler, 5.0)[samples["t"]] * plain.loss(**samples)
    torch.testing.assert_close(OrdinaryTerm(batch=16).loss(weighted, samples), expected)
    assert float(weights(plain.schedule.scheduler, 5.0).mean()) == pytest.approx(1)
    recipe = yaml.safe_load((PACKAGE / "minnow/recipe.yaml").read_text())
    assert build(tiny.composed("model=minnow").model).loss_weight_cap == recipe["unet"]["weight_cap"]


def test_a_term_that_is_null_is_left_out() -> None:
    term = SurrogateTerm(pairs=1)
    assert together(ordinary=None, surrogates=term) == {"surrogates": term}
    with pytest.raises(InputError, match="nothing to minimise"):
        together(ordinary=None, surrogates=None)


def test_sizes_that_are_none_are_refused() -> None:
    for make, key in ((lambda: OrdinaryTerm(batch=0), "batch"), (lambda: SurrogateTerm(pairs=0), "pairs")):
        with pytest.raises(InputError, match=f"{key} must be above zero"):
            make()
