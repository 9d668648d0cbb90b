"""Which pictures are compared with which, and that failed targets are left out of both."""

from types import SimpleNamespace
from typing import Any

import torch

from dori.attacks.budgets import Budget
from dori.studies.paired import differences, hits


def pictures(name: str, targets: int = 3, budget: Budget | None = None, failed: tuple[str, ...] = ()) -> Any:
    subject = SimpleNamespace(name=name)
    attacked = budget and SimpleNamespace(subject=subject, budget=budget, failed=dict.fromkeys(failed, 0))
    everyone = [SimpleNamespace(name=f"verbatim/{i}", kind="verbatim") for i in range(targets)]
    return SimpleNamespace(subject=subject, targets=everyone, attacked=attacked)


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
            for name, d in differences(i, drawn, found, "verbatim").items()
        }
        for i in range(len(drawn))
    ]
    assert values[:2] == [{}, {"MR_difference": (-2, 3)}]
    assert values[2] == {"MR_difference": (0, 3), "MR_over_twin": (1, 2)}
    assert values[3] == {"MR_difference": (2, 2), "MR_over_twin": (1, 1)}
    assert values[4] == {}
    assert differences(1, drawn, found, "seen") == {}
