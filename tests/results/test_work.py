"""The adversary's work as it is told: tables, sentence, figure."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dori.app.findings import findings
from dori.metrics.work import median_work
from dori.results.budget.work import curves, table, verdict, write_work
from dori.results.reading.rows import merge, read_rows, write_rows
from dori.results.tables.table import blocks, work_cell

Rows = list[dict[str, Any]]


@pytest.fixture
def worked(make_rows: Callable[..., Rows]) -> Callable[..., Rows]:
    """``worked(steps=50)``: half of the memorized targets fall to 20 steps, no other does."""

    def make(**params: Any) -> Rows:
        rows = make_rows(fid={}, **params)
        spent = 8 * params.get("steps", 50)
        for row in rows:
            if row["attack"] != "none":
                n = row["metrics"]["MR"]["n"]
                hits = (2 * n + 2) // 3 if row["setting"] == "wanda+dori" and row["kind"] == "verbatim" else 0
                reached = [min(160, spent)] * hits + [spent] * (n - hits)
                row["metrics"]["Work"] = median_work(reached, [i < hits and spent >= 160 for i in range(n)])
        return rows

    return make


def test_what_the_budget_did_not_reach_is_said_so(worked: Callable[..., Rows], tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.json", worked())  # as read from the file, where numbers are rounded
    rows = read_rows(tmp_path / "rows.json")
    told = {(row["setting"], row["kind"]): work_cell(row) for row in rows}
    assert told["wanda+dori", "verbatim"] == "160 [160, 160]"
    assert told["wanda+dori", "unseen"] == "> 400"
    assert told["wanda", "verbatim"] == "–"
    assert "Median gradient evaluations" in table(rows)[0].title
    assert table(rows)[0].lines[0] == ("wanda+dori", "160 [160, 160]", "> 400", "> 400", "> 400")


def test_a_bound_beyond_the_budget_is_said_so() -> None:
    row = {"metrics": {"Work": median_work([80, 160, 400, 400], [True, True, False, False])}}
    assert work_cell(row) == "160 [0, > 400]"
    assert work_cell(None) == work_cell({"metrics": {}}) == "–"
    assert work_cell({"metrics": {"Work": median_work([], [])}}) == "–"


def test_the_work_stands_in_the_runs_table(worked: Callable[..., Rows], rows: Rows) -> None:
    (verbatim, *_) = blocks(worked())
    assert verbatim.columns[-2:] == ("Work", "n")
    assert "160 [160, 160]" in {line[-2] for line in verbatim.lines}
    assert "Work" not in blocks(rows)[0].columns


def test_the_sentence_names_method_kind_and_n(worked: Callable[..., Rows]) -> None:
    told = verdict(worked())
    assert told.headline == "wanda+dori needs 160 [160, 160] gradient evaluations"
    assert "wanda+dori 160 [160, 160] (n = 48); twin+dori > 400 (n = 48)" in told.text


def test_of_several_step_budgets_the_largest_holds_the_others(worked: Callable[..., Rows]) -> None:
    found = curves(merge(worked(steps=steps) for steps in (50, 10)))
    assert [label for label, row in found if row["kind"] == "verbatim"] == ["wanda+dori", "twin+dori"]
    assert {row["params"]["steps"] for _, row in found} == {50}


def test_what_was_swept_is_told_apart(worked: Callable[..., Rows], tmp_path: Path) -> None:
    rows = merge(worked(start=start) for start in ("prompt", "gaussian"))
    labels = [label for label, row in curves(rows) if row["kind"] == "verbatim"]
    assert labels == [
        f"{setting}, start = {start}"
        for start in ("prompt", "gaussian")
        for setting in ("wanda+dori", "twin+dori")
    ]
    write_work(tmp_path / "work.png", rows)
    assert Image.open(tmp_path / "work.png").width > 1000


def test_the_figure_is_drawn_the_same_again(worked: Callable[..., Rows], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_work(tmp_path / name, worked())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    (finding,) = findings(worked())
    assert (finding.file, finding.answers) == ("work.png", False)
