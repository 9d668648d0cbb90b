"""The view of W&B: its panels name columns that a run really has."""

import re

import pytest

from dori.app.summary import summary
from dori.app.workspace import ANSWER, CURVES, PRICE, main, view
from dori.core.errors import InputError


def test_what_panels_show_is_what_runs_have(make_rows) -> None:
    had = set(summary(make_rows()))
    assert set(ANSWER) <= had
    assert set(PRICE) - {"mitigated/FID_ratio"} <= had  # which made-up rows have not


def test_the_view_has_a_panel_for_every_question_and_can_be_written() -> None:
    made = view("somebody")
    assert [section.name for section in made.sections] == [
        "Recalled, or injected?", "Budgets of the attack", "How much is pruned", "Defenses",
    ]  # fmt: skip
    written = made._to_model().model_dump_json()
    for name in (*ANSWER, *PRICE, *CURVES, "pruning/ratio", "defense/name", "budget/epsilon"):
        assert re.search(re.escape(name).replace("/", r"[/.]"), written), name


def test_it_says_what_it_wants() -> None:
    with pytest.raises(InputError, match="give your W&B entity"):
        main([])
