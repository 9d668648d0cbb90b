"""What the transfer study says of triggers that were carried from model to model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dori.app.findings import STUDY, findings
from dori.results.reading.comparison import comparisons
from dori.results.tables.table import blocks

Rows = list[dict[str, Any]]
N = {"verbatim": 48, "unseen": 48, "seen": 48}


CASES = {
    "transfers": {"wanda+dori": 40, "wanda+dori>nemo": 35, "wanda+dori>original": 41},
    "own_model": {"wanda+dori": 40, "wanda+dori>nemo": 3, "wanda+dori>original": 2},
    "none": {"wanda+dori": 39, "wanda+dori>nemo": 38, "wanda+dori>original": 39, "wanda+dori>twin": 38},
}


@pytest.fixture
def carried(make_rows: Callable[..., Rows]) -> Callable[[str], Rows]:
    def make(case: str) -> Rows:
        hits = {"original": 47, "wanda": 5, "nemo": 6, "twin": 0, "nemo+dori": 4, "twin+dori": 2}
        hits |= {"wanda+dori>twin": 1} | CASES[case]
        return make_rows(
            hits={name: {"verbatim": count} for name, count in hits.items()},
            fid={},
            n=N,
            **{STUDY: "dori.studies.transfer.study.transfer"},
        )

    return make


@pytest.mark.parametrize("code", CASES)
def test_the_verdict_asks_who_else_can_use_a_trigger(carried: Callable[[str], Rows], code: str) -> None:
    (finding,) = findings(carried(code))
    verdict = finding.verdicts[0][1]
    assert verdict.code == code
    asked = [line[0] for line in verdict.figures.lines]
    assert "wanda's triggers in own model above the twin" in asked
    assert "wanda's triggers in nemo above the twin" in asked


def test_the_matrix_is_found_on_by_drawn_by(carried: Callable[[str], Rows], tmp_path: Path) -> None:
    (finding,) = findings(carried("transfers"))
    (block,) = finding.tables
    assert block.columns == ("found on", *(f"drawn by {m}" for m in ("original", "wanda", "nemo", "twin")))
    lines = {line[0]: line[1:] for line in block.lines}
    assert [cell[:4] for cell in lines["no attack"]] == ["0.98", "0.10", "0.12", "0.00"]
    assert [cell[:4] for cell in lines["wanda"]] == ["0.85", "0.83", "0.73", "0.02"]
    assert lines["original"] == ("–", "–", "–", "–")
    for name in ("a.png", "b.png"):
        finding.write(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_carried_triggers_are_rows_but_no_comparison(carried: Callable[[str], Rows]) -> None:
    rows = carried("transfers")
    assert {c.attacked for c in comparisons(rows)} == {"wanda+dori", "nemo+dori"}
    meanings = {line[0]: line[1] for line in blocks(rows)[0].lines}
    assert meanings["wanda+dori>original"] == "triggers of wanda, drawn by original"


def test_other_studies_have_no_matrix(rows: Rows) -> None:
    assert findings(rows) == []
