"""Where attacks start: a text or a generator for each (target, restart), whatever the company."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from dori.attacks import starts
from dori.core.errors import InputError
from dori.data import Data, Ordinary, Target
from dori.diffusion import StableDiffusion
from tests import tiny

KINDS = ("verbatim", "template", "verbatim", "unseen")
TARGETS = [Target(f"t/{i}", tiny.prompts(1, i)[0], kind, tiny.picture(i)) for i, kind in enumerate(KINDS)]
CAPTIONS = tiny.prompts(6, 20)
DATA = Data(TARGETS, Ordinary([]), CAPTIONS)
ATTEMPTS = [(target, restart) for target in TARGETS for restart in range(4)]
STARTS = {
    "prompt": starts.prompt, "gaussian": starts.gaussian, "ordinary": starts.ordinary,
    "other_memorized": starts.other_memorized, "empty": starts.empty,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion()


@pytest.mark.parametrize("name", STARTS)
def test_a_start_is_a_targets_and_a_restarts_own(model: StableDiffusion, name: str) -> None:
    """The same alone as in company, and on every call."""
    together = starts.embed(model, STARTS[name](DATA, ATTEMPTS, 0))
    assert together.shape == (16, tiny.TOKENS, tiny.WIDTH)
    assert together.dtype == torch.float32
    for place in (0, 5, 15):
        alone = starts.embed(model, STARTS[name](DATA, ATTEMPTS[place : place + 1], 0))
        torch.testing.assert_close(alone[0], together[place], rtol=1e-5, atol=1e-5)


def test_the_prompt_and_the_empty_prompt(model: StableDiffusion) -> None:
    assert starts.prompt(DATA, ATTEMPTS, 0) == [target.prompt for target, _ in ATTEMPTS]
    found = starts.embed(model, starts.empty(DATA, ATTEMPTS[:2], 0))
    torch.testing.assert_close(found, model.empty.expand(2, -1, -1))


def test_gaussian_starts_are_standard_normal_and_differ(model: StableDiffusion) -> None:
    found = starts.embed(model, starts.gaussian(DATA, ATTEMPTS, 0))
    assert found.mean().abs() < 0.05
    assert found.std() == pytest.approx(1, abs=0.05)
    assert (torch.cdist(found.flatten(1), found.flatten(1)) + torch.eye(16) > 0.5).all()
    assert not torch.equal(found, starts.embed(model, starts.gaussian(DATA, ATTEMPTS, 1)))


@pytest.mark.parametrize("start", [starts.ordinary, partial(starts.ordinary, captions=CAPTIONS[::-1])])
def test_ordinary_starts_are_captions_and_restarts_take_different_ones(start: Callable) -> None:
    found = start(DATA, ATTEMPTS, 0)
    assert set(found) <= set(CAPTIONS)
    for first in range(0, 16, 4):
        assert len(set(found[first : first + 4])) == 4
    assert found != start(DATA, ATTEMPTS, 1)


def test_another_memorized_prompt_is_never_the_own() -> None:
    found = starts.other_memorized(DATA, ATTEMPTS, 0)
    memorized = {target.prompt for target in TARGETS[:3]}
    assert set(found) == memorized
    assert all(text != target.prompt for text, (target, _) in zip(found, ATTEMPTS, strict=True))


def test_what_the_data_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"needs ordinary captions: set data\.ordinary"):
        starts.ordinary(Data(TARGETS, Ordinary([])), ATTEMPTS, 0)
    with pytest.raises(InputError, match="no other prompt to start t/0 from"):
        starts.other_memorized(Data(TARGETS[:1], Ordinary([])), ATTEMPTS[:1], 0)
