"""What a method's own score of the prompts becomes in the rows."""

from types import SimpleNamespace
from typing import Any

import pytest

from dori.steps.measuring.scores import scores


def pictures(facts: dict, attacked: object = None) -> Any:
    mask = SimpleNamespace(info={"facts": facts})
    kinds = {"verbatim/0": "verbatim", "verbatim/1": "verbatim", "seen/0": "seen"}
    targets = [SimpleNamespace(name=name, kind=kind) for name, kind in kinds.items()]
    return SimpleNamespace(subject=SimpleNamespace(mask=mask), targets=targets, attacked=attacked)


FACTS = {
    "scores": {"verbatim/0": 0.5, "verbatim/1": 0.2, "seen/0": 0.15},
    "ordinary_scores": [0.1, 0.2, 0.3, 0.1], "threshold": 0.25, "unpruned": ["verbatim/1", "seen/0"],
}  # fmt: skip


def test_scores_of_the_prompts_of_a_kind() -> None:
    found = scores(pictures(FACTS), "verbatim")
    assert found["Score"]["value"] == pytest.approx(0.35)
    assert (found["Score_threshold"]["value"], found["Score_threshold"]["n"]) == (0.25, 4)
    assert (found["Unpruned"]["value"], found["Unpruned"]["n"]) == (0.5, 2)
    assert found["Score_AUC"]["value"] == pytest.approx((4 + 2.5) / 8)
    assert "Score_AUC" not in scores(pictures(FACTS), "seen")


def test_nothing_without_scores_and_nothing_under_attack() -> None:
    assert scores(pictures({}), "verbatim") == {}
    assert scores(pictures(FACTS, attacked=object()), "verbatim") == {}
