"""NeMo against its plain reference, and what it refuses.

In float32, too: where a score is so near the threshold that the last bits turn a comparison, it is computed
as the plain procedure does.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dori.core.errors import InputError
from dori.core.stages import Stages
from dori.data import Data, Target
from dori.data.targets import Ordinary
from dori.diffusion import StableDiffusion
from dori.diffusion.similarity import Released, ms_ssim
from dori.pruning import NeMo
from dori.pruning.masks import count, union
from dori.pruning.nemo.neurons import neurons as search
from dori.pruning.nemo.probe import Rule, greedy
from dori.pruning.selection import Selection
from tests import tiny
from tests.pruning.nemo_reference import Reference

Make = Callable[..., StableDiffusion]
NEMO = NeMo(seeds=3, theta=2.0, theta_step=0.5)


ONE_SCALE = {"kernel_size": 5, "gaussian_kernel": False, "betas": (1.0,), "data_range": 1.0}
TWO_SCALES = {"kernel_size": 3, "gaussian_kernel": False, "betas": (0.5, 0.5)}  # without range, as released
similarity = partial(ms_ssim, kernel_size=5, gaussian=False, betas=(1.0,))
released = Released(kernel_size=3, gaussian=False, betas=(0.5, 0.5))


def strong(model: StableDiffusion, seed: int, released: Released | None = None) -> StableDiffusion:
    """Other random weights; values large enough that prompts and neurons matter."""
    unet = tiny.build_unet(seed).requires_grad_(False).eval()
    for name, module in unet.named_modules():
        if name.endswith(("attn2.to_v", "attn2.to_out.0")):
            module.weight.mul_(4)
    model.pipeline.unet = unet.to(model.stored_dtype)
    model.noise_similarity = released or similarity
    return model


def target(prompt: str, kind: str = "verbatim") -> Target:
    return Target(f"{kind}/{prompt}", prompt, kind, tiny.picture(0))


def data_of(captions: list[str]) -> Data:
    return Data([], Ordinary([]), captions)


def kept_in(folder: Path) -> Callable:
    """Keeps as a study does, without its cache."""

    def keep(name: str, inputs: dict, compute: Callable[[Path], dict]) -> Path:
        place = folder / f"{name}-{len(list(folder.iterdir()))}"
        place.mkdir()
        compute(place)
        return place

    return keep


def check_equal(model: StableDiffusion, nemo: NeMo, prompt: str, folder: Path) -> int:
    """NeMo's neurons are the reference's, for fewer U-Net samples; how many neurons."""
    captions = tiny.prompts(6, 20)
    window = TWO_SCALES if isinstance(model.noise_similarity, Released) else ONE_SCALE
    layers = Reference(model, nemo, window, prompt, [], []).layers
    y = model.encode_prompts(captions)
    answers = [torch.stack([layer(e[None])[0].abs().mean(0).float() for e in y]) for layer in layers.values()]
    mean, std = [a.mean(0) for a in answers], [a.std(0) for a in answers]
    reference = Reference(model, nemo, window, prompt, mean, std)
    threshold = reference.seed_scores(reference.difference()).max().item() - 0.05
    reference.calls = 0
    expected = reference.run(threshold)
    nemo = replace(nemo, threshold=threshold)
    selection = nemo.select(model, [target(prompt)], data_of(captions), kept_in(folder))
    found = selection.masks[0]
    assert list(found) == list(layers)
    for part, neurons in zip(found.values(), expected, strict=True):
        assert part.nonzero().flatten().tolist() == sorted(set(neurons))
    assert selection.evaluations < reference.calls
    return count(found)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), dtype=st.sampled_from(["float32", "float64"]), own=st.booleans())
def test_neurons_are_those_of_the_published_procedure(
    make_diffusion: Make, tmp_path_factory: pytest.TempPathFactory, seed: int, dtype: str, own: bool
) -> None:
    model = strong(make_diffusion("epsilon", dtype=dtype, batch=12), seed, None if own else released)
    check_equal(model, NEMO, tiny.prompts(1, seed)[0], tmp_path_factory.mktemp("nemo"))


@given(
    seed=st.integers(0, 10_000), samples=st.integers(2, 6), known=st.integers(1, 5),
    alike=st.floats(0, 1), scales=st.integers(1, 2),
)  # fmt: skip
def test_a_seed_is_no_less_alike_in_the_whole_call(
    seed: int, samples: int, known: int, alike: float, scales: int
) -> None:
    stream = torch.Generator().manual_seed(seed)
    a, noise = torch.randn((2, samples, 4, 16, 16), generator=stream)

    def scaled(x: torch.Tensor) -> torch.Tensor:
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return (x - low) / (high - low)

    a, b = scaled(a), scaled(alike * a + (1 - alike) * noise)
    similar = Released(kernel_size=5, gaussian=False, betas=(1 / scales,) * scales)
    known = min(known, samples)
    whole, least = similar(a, b)[:known], similar.at_least(a, b[:known])
    told = (
        least.isfinite()
    )  # a negative contrast to a broken power is no number: then all seeds are looked at
    assert (whole[told] >= least[told] - 1e-5).all()


def test_a_published_threshold_is_of_the_released_similarity_alone(make_diffusion: Make) -> None:
    model, nemo = strong(make_diffusion("epsilon"), 1), replace(NEMO, threshold=0.428)
    with pytest.raises(InputError, match=r"threshold 0\.428 is the published one, but tiny compares"):
        nemo.check(model, data_of(tiny.prompts(3)))
    model.noise_similarity = released
    nemo.check(model, data_of(tiny.prompts(3)))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_neurons_do_not_depend_on_how_many_masks_are_tested_at_once(
    make_diffusion: Make, tmp_path: Path, batch: int
) -> None:
    model = strong(make_diffusion("epsilon", dtype="float64", batch=batch), 3)
    assert check_equal(model, replace(NEMO, theta=1.5, k=2), tiny.prompts(1, 3)[0], tmp_path) > 0


def test_all_layers_of_a_v_prediction_model(make_diffusion: Make, tmp_path: Path) -> None:
    model = strong(make_diffusion("v_prediction", dtype="float64", batch=24), 5)
    check_equal(model, replace(NEMO, layers="all"), tiny.prompts(1, 5)[0], tmp_path)


def test_a_prompt_below_the_threshold_gets_no_neurons(make_diffusion: Make, tmp_path: Path) -> None:
    model = strong(make_diffusion("epsilon", dtype="float64"), 1)
    targets = [target(prompt) for prompt in tiny.prompts(2)]
    selection = replace(NEMO, threshold=1.0).select(
        model, targets, data_of(tiny.prompts(3, 20)), kept_in(tmp_path)
    )
    assert [count(mask) for mask in selection.masks] == [0, 0]
    assert len(selection.facts["unpruned"]) == 2
    assert selection.evaluations == 2 * NEMO.seeds


def test_the_threshold_is_mean_and_deviation_of_ordinary_scores(make_diffusion: Make, tmp_path: Path) -> None:
    model, captions = strong(make_diffusion("epsilon", dtype="float64"), 2), tiny.prompts(5, 20)
    facts = NEMO.select(model, [target("a red boat on a lake")], data_of(captions), kept_in(tmp_path)).facts
    scores = []
    for caption in captions:
        reference = Reference(model, NEMO, ONE_SCALE, caption, [], [])
        scores.append(reference.seed_scores(reference.difference()).max())
    torch.testing.assert_close(torch.tensor(facts["ordinary_scores"]), torch.stack(scores))
    expected = torch.stack(scores).mean() + torch.stack(scores).std()
    assert facts["threshold"] == pytest.approx(expected.item(), abs=1e-6)


def test_the_union_is_that_of_the_prompts_own_neurons(make_diffusion: Make, tmp_path: Path) -> None:
    model, captions = strong(make_diffusion("epsilon", dtype="float64"), 2), tiny.prompts(5, 20)
    targets = [target(prompt) for prompt in tiny.prompts(3)]
    nemo = replace(NEMO, threshold=0.1)
    own = nemo.select(model, targets, data_of(captions), kept_in(tmp_path)).masks
    whole = replace(nemo, apply="union").select(model, targets, data_of(captions), kept_in(tmp_path)).masks
    assert len(own) == 3 and len(whole) == 1 and count(whole[0]) > 0
    assert all(torch.equal(whole[0][name], part) for name, part in union(*own).items())


@given(
    losses=st.integers(1, 5).flatmap(
        lambda seeds: st.lists(
            st.lists(st.floats(-1, 1), min_size=seeds, max_size=seeds), min_size=1, max_size=30
        )
    ),
    width=st.integers(1, 9),
    error=st.floats(1e-6, 0.5),
    threshold=st.floats(0, 2),
    repeats=st.lists(st.integers(0, 29), max_size=5),
)
def test_looking_at_few_seeds_first_is_looking_at_all(
    losses: list[list[float]], width: int, error: float, threshold: float, repeats: list[int]
) -> None:
    items = list(range(len(losses))) + [i for i in repeats if i < len(losses)]
    table, seeds = torch.tensor(losses, dtype=torch.float64), len(losses[0])

    def values(state: list[int]) -> torch.Tensor:
        gone = [i for i in range(len(losses)) if i not in set(state)]
        return table[gone].sum(0)

    def inexact(state: list[int]) -> torch.Tensor:
        """As others in the call move them: by less than the error, up or down."""
        up = torch.tensor([(len(state) + i) % 2 for i in range(seeds)])
        return values(state) + 0.9 * error * (2 * up - 1)

    def without(state: list[int], item: int) -> list[int]:
        rest = list(state)
        rest.remove(item)
        return rest

    expected = list(items)
    for item in items:
        trial = without(expected, item)
        if values(trial).max() < threshold:
            expected = trial
    rule = Rule[list[int]](
        lambda seen, some: seen, lambda state: float(values(state).max()), seeds, threshold, error, width
    )
    found, score = greedy(
        list(items), float(values(items).max()), items, without,
        lambda states, some: torch.stack([inexact(state)[some] for state in states]), rule,
        lambda a, b: set(a) == set(b),
    )  # fmt: skip
    assert found == expected
    assert score == pytest.approx(float(values(expected).max()), abs=error + 1e-9)


def test_a_window_that_does_not_fit_is_refused(make_diffusion: Make) -> None:
    model = make_diffusion("epsilon")
    with pytest.raises(InputError, match=r"needs latents of at least 44 x 44, but tiny has 8 x 8.*at most 7"):
        NEMO.check(model, data_of(tiny.prompts(3)))


def test_missing_captions_and_wrong_settings_are_refused(make_diffusion: Make, tmp_path: Path) -> None:
    model = strong(make_diffusion("epsilon", dtype="float64"), 2)
    with pytest.raises(InputError, match="NeMo compares with ordinary captions"):
        NEMO.select(model, [target("a red boat on a lake")], data_of([]), kept_in(tmp_path))
    with pytest.raises(InputError, match=r"pruning\.layers 'al'; did you mean 'all'"):
        NeMo(layers="al")
    with pytest.raises(InputError, match="seeds must be 2 or more"):
        NeMo(seeds=1)


def test_the_prompts_of_a_killed_search_are_kept(
    make_diffusion: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes minutes of Stable Diffusion."""
    model = strong(make_diffusion(dtype="float64"), 1)
    targets = [target(prompt) for prompt in tiny.prompts(3)]
    nemo, data = replace(NEMO, threshold=-1.0), data_of(tiny.prompts(4, 20))
    searched: list[Any] = []

    def dies(*arguments: Any) -> Any:
        searched.append(arguments)
        if len(searched) == 3:
            raise KeyboardInterrupt
        return search(*arguments)

    def select(cache: Path) -> Selection:
        stages = Stages(cache)
        return nemo.select(model, targets, data, lambda *given: stages.run(*given).folder)

    whole = select(tmp_path / "whole")
    monkeypatch.setattr("dori.pruning.nemo.nemo.neurons", dies)
    with pytest.raises(KeyboardInterrupt):
        select(tmp_path / "killed")
    found = select(tmp_path / "killed")
    assert len(searched) == 3 + 1  # the third alone
    assert found.evaluations == whole.evaluations
    for one, other in zip(found.masks, whole.masks, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[layer], other[layer]) for layer in one)
