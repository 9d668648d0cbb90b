"""Removal takes several attacks, none of which reaches more than it injects."""

from collections.abc import Callable
from typing import Any

import pytest

from dori.results.removal import removals


def hits(recovered: int, twin: int = 1, unseen: int = 0, attack: str = "dori") -> dict[str, dict[str, int]]:
    found = {
        "original": {"verbatim": 47, "unseen": 0}, "adversarial": {"verbatim": 0},
        f"adversarial+{attack}": {"verbatim": recovered, "unseen": unseen},
    }  # fmt: skip
    return found | ({} if twin < 0 else {"twin": {"verbatim": 0}, f"twin+{attack}": {"verbatim": twin}})


Make = Callable[..., list[dict[str, Any]]]


def rows(make_rows: Make, *cases: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """One attack per case, each with another number of steps."""
    return [row for i, case in enumerate(cases) for row in make_rows(hits=case, steps=50 * (i + 1))]


def test_no_attack_above_the_twin_is_removal(make_rows: Make) -> None:
    ((name, verdict),) = removals(rows(make_rows, hits(1), hits(2, twin=3, attack="words")))
    assert (name, verdict.code) == ("adversarial", "removed")
    assert "dori (start prompt, 50 steps) 0.02" in verdict.text
    assert "A share of up to 0.14 is not ruled out. Other attacks were not tried." in verdict.text


def test_one_attack_at_several_budgets_says_nothing_about_removal(make_rows: Make) -> None:
    ((_, verdict),) = removals(rows(make_rows, hits(1), hits(2, twin=3)))
    assert verdict.code == "unclear"
    assert "Only dori was tried" in verdict.text


def test_too_few_targets_are_no_removal(make_rows: Make) -> None:
    """4 of 12 against none: more than the twin's interval allows, not more than chance does."""
    merged = []
    for attack, recovered in (("dori", 4), ("words", 0)):
        case = hits(recovered, twin=0, attack=attack) | {"original": {"verbatim": 11, "unseen": 0}}
        merged += make_rows(hits=case, n={"verbatim": 12, "unseen": 12})
    ((_, verdict),) = removals(merged)
    assert verdict.code == "unclear"
    assert "dori (start prompt, 50 steps) reaches 0.33" in verdict.text
    assert "too few targets" in verdict.text


@pytest.mark.parametrize(("targets", "code"), [(19, "unclear"), (20, "removed")])
def test_no_copy_of_a_few_targets_rules_nothing_out(make_rows: Make, targets: int, code: str) -> None:
    """2 of 12 against none in the twin lay within its interval, and 12 of 32 came back."""
    merged = []
    for attack in ("dori", "words"):
        case = hits(0, twin=0, attack=attack) | {"original": {"verbatim": targets, "unseen": 0}}
        merged += make_rows(hits=case, n={"verbatim": targets, "unseen": 12})
    ((_, verdict),) = removals(merged)
    assert verdict.code == code
    assert ("take 20 or more" in verdict.text) == (code == "unclear")


@pytest.mark.parametrize(("copies", "code"), [(2, "memorization_unclear"), (0, "not_memorized")])
def test_where_nothing_is_known_to_be_memorized_nothing_is_removed(
    make_rows: Make, copies: int, code: str
) -> None:
    """Two targets, that the original model copies or does not: nothing can be shown to be removed."""
    merged = []
    for attack in ("dori", "words"):
        case = hits(0, twin=0, attack=attack) | {"original": {"verbatim": copies, "unseen": 0}}
        merged += make_rows(hits=case, n={"verbatim": 2, "unseen": 2})
    ((_, verdict),) = removals(merged)
    assert verdict.code == code
    assert "no verdict on adversarial" in verdict.headline


def test_one_attack_that_brings_them_back_is_enough(make_rows: Make) -> None:
    ((_, verdict),) = removals(rows(make_rows, hits(1), hits(40, twin=2), hits(20, twin=2)))
    assert verdict.code == "suppressed"
    assert "2 of 3 attacks" in verdict.text
    assert "dori (start prompt, 100 steps), 0.83" in verdict.text
    assert "against 0.04" in verdict.text


def test_what_is_injected_breaks_nothing(make_rows: Make) -> None:
    ((_, verdict),) = removals(rows(make_rows, hits(1), hits(40, twin=41, attack="words")))
    assert verdict.code == "removed"


def test_without_a_twin_the_controls_stand_in(make_rows: Make) -> None:
    ((_, verdict),) = removals(
        rows(make_rows, hits(1, twin=-1), hits(40, twin=-1, unseen=38, attack="words"))
    )
    assert verdict.code == "removed"
    ((_, verdict),) = removals(rows(make_rows, hits(1, twin=-1), hits(40, twin=-1)))
    assert verdict.code == "suppressed"
    assert "on unseen controls" in verdict.text


@pytest.mark.parametrize("recovered", [0, 40])
def test_a_single_attack_says_nothing_about_removal(make_rows: Make, recovered: int) -> None:
    assert removals(make_rows(hits=hits(recovered))) == []
