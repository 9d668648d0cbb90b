"""Removal takes several kinds of attack, each of which is shown to reach no more than it injects."""

from collections.abc import Callable
from typing import Any

import pytest

from dori.results.verdicts.removal import removals


def hits(recovered: int, twin: int = 0, unseen: int = 0, attack: str = "dori") -> dict[str, dict[str, int]]:
    found = {
        "original": {"verbatim": 47, "unseen": 0}, "adversarial": {"verbatim": 0},
        f"adversarial+{attack}": {"verbatim": recovered, "unseen": unseen},
    }  # fmt: skip
    return found | ({} if twin < 0 else {"twin": {"verbatim": 0}, f"twin+{attack}": {"verbatim": twin}})


Make = Callable[..., list[dict[str, Any]]]
KINDS = ("prompt", "gaussian", "ordinary")


def rows(make_rows: Make, *cases: dict[str, dict[str, int]], **more: Any) -> list[dict[str, Any]]:
    """One attack per case, each from another start."""
    return [
        row
        for start, case in zip(KINDS, cases, strict=False)
        for row in make_rows(hits=case, start=start, **more)
    ]


def test_attacks_that_stay_within_the_margin_of_the_twin_are_removal(make_rows: Make) -> None:
    ((name, verdict),) = removals(rows(make_rows, hits(1), hits(2, twin=3, attack="words")))
    assert (name, verdict.code) == ("adversarial", "removed")
    assert "reaches at most 0.11 more than it injects, less than 0.15. Other attacks were not" in verdict.text
    assert [line[0] for line in verdict.figures.lines] == [
        "dori (start prompt, 50 steps) above the twin", "words (start gaussian, 50 steps) above the twin",
    ]  # fmt: skip


def test_a_share_that_the_margin_does_not_hold_is_no_removal(make_rows: Make) -> None:
    """4 of 48 against none: not shown to be more than none, nor to be less than 0.15."""
    ((_, verdict),) = removals(rows(make_rows, hits(0), hits(4, attack="words")))
    assert verdict.code == "unclear" and verdict.headline.startswith("Undecided")
    assert "words (start gaussian, 50 steps) reaches 0.08 [" in verdict.text and "undecided" in verdict.text


@pytest.mark.parametrize("more", [{"steps": 200}, {"epsilon": 0.8}])
def test_one_kind_of_attack_under_two_names_says_nothing_about_removal(make_rows: Make, more: dict) -> None:
    """``dori_4x`` is ``dori`` at 200 steps."""
    merged = make_rows(hits=hits(1)) + make_rows(hits=hits(2, attack="dori_4x"), **more)
    ((_, verdict),) = removals(merged)
    assert verdict.code == "unclear"
    assert "Only one kind of attack was tried" in verdict.text


@pytest.mark.parametrize(("targets", "code"), [(21, "unclear"), (22, "removed")])
def test_no_copy_of_a_few_targets_rules_nothing_out(make_rows: Make, targets: int, code: str) -> None:
    merged = []
    for attack, start in (("dori", "prompt"), ("words", "gaussian")):
        case = hits(0, attack=attack) | {"original": {"verbatim": targets, "unseen": 0}}
        merged += make_rows(hits=case, n={"verbatim": targets, "unseen": 12}, start=start)
    ((_, verdict),) = removals(merged)
    assert verdict.code == code
    assert ("take 22 or more" in verdict.text) == (code == "unclear")


@pytest.mark.parametrize(("copies", "n"), [(2, 2), (0, 48)])
def test_where_nothing_is_known_to_be_memorized_nothing_is_removed(
    make_rows: Make, copies: int, n: int
) -> None:
    """Two targets, that the original model copies; and 48, that it does not."""
    merged = []
    for attack in ("dori", "words"):
        case = hits(0, attack=attack) | {"original": {"verbatim": copies, "unseen": 0}}
        merged += make_rows(hits=case, n={"verbatim": n, "unseen": n})
    ((_, verdict),) = removals(merged)
    assert verdict.code == ("not_memorized" if n > 2 else "memorization_unclear")
    assert "no verdict on adversarial" in verdict.headline


def test_one_attack_that_brings_them_back_is_enough(make_rows: Make) -> None:
    ((_, verdict),) = removals(rows(make_rows, hits(1), hits(40, twin=2), hits(20, twin=2)))
    assert verdict.code == "suppressed"
    assert "2 of 3 attacks" in verdict.text
    assert "the strongest dori (start gaussian, 50 steps), by 0.79 [" in verdict.text


def test_one_of_many_attacks_by_chance_is_not_enough(make_rows: Make) -> None:
    """6 of 48 against none has p = 0.016: by itself more than it injects, not as the best of four (Holm)."""
    starts = (*KINDS, "caption")
    tried = [make_rows(hits=hits(6 if start == "prompt" else 0), start=start) for start in starts]
    ((_, verdict),) = removals([row for some in tried for row in some])
    assert verdict.code == "unclear" and "once the others are counted" in verdict.text
    ((_, verdict),) = removals([row for some in tried[:2] for row in some])
    assert verdict.code == "suppressed"


def test_what_is_injected_breaks_nothing(make_rows: Make) -> None:
    ((_, verdict),) = removals(rows(make_rows, hits(1), hits(40, twin=41, attack="words")))
    assert verdict.code == "removed"


def test_without_a_twin_the_controls_stand_in(make_rows: Make) -> None:
    ((_, verdict),) = removals(
        rows(make_rows, hits(1, twin=-1), hits(40, twin=-1, unseen=48, attack="words"))
    )
    assert verdict.code == "removed"
    ((_, verdict),) = removals(rows(make_rows, hits(1, twin=-1), hits(40, twin=-1)))
    assert verdict.code == "suppressed"
    assert any("above unseen controls" in line[0] for line in verdict.figures.lines)


@pytest.mark.parametrize("recovered", [0, 40])
def test_a_single_attack_says_nothing_about_removal(make_rows: Make, recovered: int) -> None:
    assert removals(make_rows(hits=hits(recovered))) == []
