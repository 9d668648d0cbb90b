"""Budgets: how many weights each layer gives, exactly; what cannot be a budget is refused."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dori.core.errors import InputError
from dori.data import Data, Target
from dori.data.targets import Ordinary
from dori.diffusion import StableDiffusion
from dori.pruning import NeMo, Wanda
from dori.pruning.baselines.budget import Budget, Share, dealt, highest, quota_of
from dori.pruning.masks import Mask
from dori.pruning.selection import Keep, Selection
from tests import tiny

Make = Callable[..., StableDiffusion]
NONE = Data([], Ordinary([]))


@dataclass(frozen=True)
class Fixed:
    """A method that selects what it is told."""

    masks: list[Mask]
    per_prompt: bool = False
    name: str = "fixed"
    seen: list[Target] = field(default_factory=list)

    def check(self, diffusion: StableDiffusion, data: Data) -> None:
        pass

    def select(self, diffusion: StableDiffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        self.seen.extend(targets)
        return Selection(self.masks, evaluations=7)


def keep(*arguments: object) -> None:  # what it is for is not needed here
    raise AssertionError("nothing is kept")


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.floats(0, 1))
def test_a_count_is_dealt_in_proportion_and_whole(sizes: list[int], share: float) -> None:
    named = {f"layer{i}": size for i, size in enumerate(sizes)}
    count = round(share * sum(sizes))
    found = dealt(count, named)
    assert list(found) == list(named)
    assert sum(found.values()) == count
    for name, size in named.items():
        assert abs(found[name] - count * size / sum(sizes)) < 1
        assert 0 <= found[name] <= size


def test_what_is_left_goes_to_the_largest_remainder_then_to_the_earlier_layer() -> None:
    assert dealt(5, {"a": 10, "b": 20, "c": 10}) == {"a": 1, "b": 3, "c": 1}
    assert dealt(4, {"a": 6, "b": 6, "c": 6}) == {"a": 2, "b": 1, "c": 1}
    assert dealt(2, {"small": 1, "large": 9}) == {"small": 0, "large": 2}


def test_more_than_there_is_cannot_be_dealt() -> None:
    with pytest.raises(InputError, match=r"pruning\.count 21 is more than the 20 weights"):
        dealt(21, {"a": 10, "b": 10})


def test_the_highest_scores_are_selected_and_ties_go_to_the_lower_index() -> None:
    scores = {"a": torch.tensor([[1.0, 3.0, 2.0], [3.0, -1.0, 3.0]]), "b": torch.zeros(2, 2)}
    found = highest(scores, {"a": Share((2, 3), 2), "b": Share((2, 2), 3)})
    assert found["a"].tolist() == [[False, True, False], [True, False, False]]
    assert found["b"].tolist() == [[True, True], [True, False]]


def test_a_neuron_scores_the_sum_of_its_weights() -> None:
    scores = {"a": torch.tensor([[0.0, 5.0], [3.0, 3.0], [1.0, 1.0], [4.0, 2.0]])}
    assert highest(scores, {"a": Share((4,), 2)})["a"].tolist() == [False, True, False, True]
    assert not highest(scores, {"a": Share((4,), 0)})["a"].any()


@given(st.integers(0, 2**30), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))
def test_no_score_that_is_left_exceeds_one_that_is_taken(
    seed: int, rows: int, columns: int, share: float
) -> None:
    score = torch.randint(0, 4, (rows, columns), generator=torch.Generator().manual_seed(seed)).double()
    number = round(share * score.numel())
    mask = highest({"a": score}, {"a": Share((rows, columns), number)})["a"]
    assert int(mask.sum()) == number
    if 0 < number < score.numel():
        assert score[mask].min() >= score[~mask].max()


@pytest.mark.parametrize("layers", [None, "feed_forward", "values", "all_values"])
def test_a_ratio_is_of_each_layer(make_diffusion: Make, layers: str | None) -> None:
    quotas, evaluations = Budget(ratio=0.07, layers=layers).quotas(make_diffusion(), [], NONE, keep)
    unet = make_diffusion().denoiser
    assert evaluations == 0
    (quota,) = quotas
    assert all(name.endswith("to_v" if layers and "values" in layers else "ff.net.2") for name in quota)
    for name, (shape, number, _) in quota.items():
        weight = unet.get_submodule(name).weight
        assert shape == tuple(weight.shape)
        assert abs(number - 0.07 * weight.numel()) <= 0.5


def test_a_count_is_of_all_layers_together(make_diffusion: Make) -> None:
    ((quota,), _) = Budget(count=1234, layers="values").quotas(make_diffusion(), [], NONE, keep)
    assert sum(share.number for share in quota.values()) == 1234
    names = list(quota)[:1]
    ((one,), _) = Budget(count=5, layers=names).quotas(make_diffusion(), [], NONE, keep)
    assert {name: share.number for name, share in one.items()} == {names[0]: 5}


def test_another_method_lends_its_layers_counts_and_kind(make_diffusion: Make) -> None:
    targets = [Target(f"verbatim/{i}", text, "verbatim", tiny.picture(i)) for i, text in enumerate("ab")]
    weights, neurons = torch.arange(6).view(2, 3) < 4, torch.arange(5) < 2
    like = Fixed([{"a": weights, "b": neurons}, {"a": ~weights, "b": neurons}], per_prompt=True)
    budget = Budget(like=like)
    quotas, evaluations = budget.quotas(make_diffusion(), targets, NONE, keep)
    assert quotas == [
        {"a": Share((2, 3), 4), "b": Share((5,), 2)}, {"a": Share((2, 3), 2), "b": Share((5,), 2)},
    ]  # fmt: skip
    assert quotas[0] == quota_of(like.masks[0], lambda layer: 0)
    assert (evaluations, like.seen, budget.per_prompt) == (7, targets, True)
    assert not Budget(like=Fixed([])).per_prompt
    assert not Budget(ratio=0.1).per_prompt


@pytest.mark.parametrize(("settings", "text"), [
    ({}, "pruning needs a budget: set pruning.ratio, pruning.count or pruning.like"),
    ({"ratio": 0.1, "like": Wanda()}, "pruning.ratio and pruning.like are budgets.*set pruning.like=null"),
    ({"ratio": 0.1, "count": 3}, "pruning.ratio and pruning.count are budgets.*set pruning.count=null"),
    ({"ratio": 1.5}, "pruning.ratio must lie between 0 and 1, but is 1.5"),
    ({"ratio": 0.0}, "pruning.ratio must lie between 0 and 1, but is 0.0"),
    ({"count": 0}, "pruning.count must be a whole number above zero, but is 0"),
    ({"count": 2.5}, "pruning.count must be a whole number above zero, but is 2.5"),
    ({"like": "nemo"}, "pruning.like is 'nemo', no pruning method: choose one with pruning@pruning.like="),
    ({"like": NeMo(), "layers": "values"}, "pruning.layers is 'values', but pruning.like prunes in its own"),
    ({"ratio": 0.1, "layers": "feedforward"}, "unknown pruning.layers 'feedforward'; did you mean 'feed_f"),
])  # fmt: skip
def test_what_is_no_budget_is_refused(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Budget(**settings)


@pytest.mark.parametrize(("budget", "text"), [
    (Budget(ratio=1e-6), "pruning.ratio 1e-06 selects no weight: the largest layer has 4096, so use at lea"),
    (Budget(count=10**7), "pruning.count 10000000 is more than the"),
    (Budget(ratio=0.1, layers=["mid_block.attn"]), "unknown linear layer in pruning.layers 'mid_block.attn'"),
])  # fmt: skip
def test_a_budget_that_does_not_fit_the_model_is_refused(
    make_diffusion: Make, budget: Budget, text: str
) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        budget.quotas(make_diffusion(), [], NONE, keep)
