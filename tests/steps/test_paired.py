"""Which pictures are compared with which, and that failed targets are left out of both."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dori.attacks.budgets import Budget
from dori.steps.measuring.paired import differences, hits, own_rates


def pictures(
    name: str, targets: int = 3, budget: Budget | None = None, failed: tuple[str, ...] = (), seeds: int = 1,
    restarts: int = 1,
) -> Any:  # fmt: skip
    subject = SimpleNamespace(name=name)
    attacked = budget and SimpleNamespace(subject=subject, budget=budget, failed=dict.fromkeys(failed, 0))
    everyone = [SimpleNamespace(name=f"verbatim/{i}", kind="verbatim") for i in range(targets)]
    return SimpleNamespace(
        subject=subject, targets=everyone, attacked=attacked, seeds=seeds * restarts, restarts=restarts,
        without_result=set(failed),
    )  # fmt: skip


def test_each_is_compared_at_its_own_budget() -> None:
    small, large = Budget(10, None), Budget(50, None)
    drawn = [
        pictures("original"), pictures("wanda"), pictures("wanda", budget=small),
        pictures("wanda", budget=large, failed=("verbatim/0",)),
        pictures("twin", 2, large), pictures("twin", 2, small),
    ]  # fmt: skip
    rates = [[1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 1, 1], [1, 0], [0, 0]]
    found = [
        hits(each, torch.tensor(rate).float()[:, None], 0.7) for each, rate in zip(drawn, rates, strict=True)
    ]
    values = [
        {
            name: (round(d["value"] * d["n"]), d["n"])
            for name, d in differences(i, drawn, {"MR": found}, "verbatim").items()
        }
        for i in range(len(drawn))
    ]
    assert values[:2] == [{}, {"MR_difference": (-2, 3)}]
    assert values[2] == {"MR_difference": (0, 3), "MR_over_twin": (1, 2)}
    assert values[3] == {"MR_difference": (2, 2), "MR_over_twin": (1, 1)}
    assert values[4] == {}
    assert differences(1, drawn, {"MR": found}, "seen") == {}


def test_restarts_are_compared_at_as_many_images_as_without_them() -> None:
    """A copy counts where it is among two images, the first of one restart and the second of the other."""
    before, after = (
        pictures("wanda", seeds=2),
        pictures("wanda", budget=Budget(10, None), seeds=2, restarts=2),
    )
    similar = torch.zeros(3, 4)
    similar[0, 1], similar[1, 3], similar[2, 0] = (
        1,
        1,
        1,
    )  # the second of the second counts, the first of the first
    drawn = [pictures("original", seeds=2), before, after]
    found = {"MR": [hits(drawn[0], torch.zeros(3, 2), 0.7), hits(before, torch.zeros(3, 2), 0.7),
                    hits(after, similar, 0.7)]}  # fmt: skip
    assert sum(found["MR"][2].all.values()) == 3
    assert found["MR"][2].as_many == {"verbatim/0": False, "verbatim/1": True, "verbatim/2": True}
    assert differences(2, drawn, found, "verbatim")["MR_difference"]["pairs"] == [0, 2, 0, 1]
    assert own_rates(2, drawn, found, "verbatim")["MR_as_many"]["value"] == 2 / 3
    assert own_rates(1, drawn, found, "verbatim") == {}


def test_what_the_twin_draws_of_the_very_same_triggers_is_another_comparison() -> None:
    """As in the transfer study: found on wanda, drawn by wanda, by the twin and by the original."""
    budget = Budget(10, None)
    own, twin = pictures("wanda", budget=budget), pictures("twin", budget=budget)
    carried = [SimpleNamespace(**{**vars(pictures(n, budget=budget)), "attacked": own.attacked})
               for n in ("twin", "original")]  # fmt: skip
    drawn = [pictures("original"), pictures("wanda"), own, twin, *carried]
    rates = [[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0]]
    found = {
        "MR": [hits(p, torch.tensor(r).float()[:, None], 0.7) for p, r in zip(drawn, rates, strict=True)]
    }
    told = differences(2, drawn, found, "verbatim")
    assert told["MR_over_twin"]["value"] == 1 and told["MR_over_carried"]["value"] == pytest.approx(2 / 3)
    other = differences(5, drawn, found, "verbatim")
    assert other["MR_over_twin"]["value"] == pytest.approx(1 / 3) and "MR_over_carried" not in other


def test_settings_are_compared_with_those_that_a_study_names() -> None:
    drawn = [pictures("original"), pictures("random"), pictures("wanda"), pictures("twin")]
    rates = [[1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]]
    found = [hits(p, torch.tensor(r).float()[:, None], 0.7) for p, r in zip(drawn, rates, strict=True)]
    told = [set(differences(i, drawn, {"MR": found}, "verbatim", ["random"])) for i in range(4)]
    assert told == [set(), {"MR_difference"}, {"MR_difference", "MR_over_random"}, {"MR_difference"}]
    both = {"MR": found, "Extracted": found}
    names = set(differences(2, drawn, both, "verbatim"))
    assert names == {"MR_difference", "Extracted_difference"}
    assert set(own_rates(2, drawn, both, "verbatim")) == {"Extracted"}
