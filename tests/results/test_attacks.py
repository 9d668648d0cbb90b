"""What is told of several attacks, and of several defenses under them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dori.app.multirun import merge_folder
from dori.results.reading.rows import merge, write_rows
from dori.results.tables.attacks import attack_table
from dori.results.tables.defenses import defense_table

Rows = list[dict[str, Any]]
N = {"verbatim": 48, "unseen": 48, "seen": 48}


@pytest.fixture
def several(make_rows: Callable[..., Rows]) -> list[Rows]:
    """A job of each mitigation × attack: DoRI finds more than random search, and nobody in the twin."""

    def job(base: str, attack: str, hits: int) -> Rows:
        kinds = {"verbatim": hits, "unseen": 2, "seen": 3}
        settings = {
            "original": {"verbatim": 47, "unseen": 0, "seen": 1},
            base: {"verbatim": 5, "unseen": 0, "seen": 0},
            f"{base}+{attack}": kinds, f"twin+{attack}": {"verbatim": 1},
        }  # fmt: skip
        rows = make_rows(hits=settings, fid={}, n=N)
        for row in rows:
            row["pruning"] = base if row["setting"].startswith(base) else "none"
            if row["setting"] == f"{base}+{attack}":
                row["metrics"]["Work"] = {
                    "value": 120.0, "low": 80.0, "high": None, "n": 48, "survival": [[400.0, 0.4, 0.3, 0.6]],
                }  # fmt: skip
        return rows

    return [job(b, a, h) for b in ("wanda", "nemo") for a, h in (("dori", 40), ("random_search", 9))]


def test_a_line_for_each_attack_and_one_for_none(several: list[Rows]) -> None:
    block = attack_table(merge(several))
    assert block is not None
    lines = {line[0]: dict(zip(block.columns, line, strict=True)) for line in block.lines}
    assert list(lines) == ["no attack", "dori", "random_search"]
    assert lines["dori"]["MR wanda [95 %]"].startswith("0.83 [")
    assert lines["random_search"]["MR nemo [95 %]"].startswith("0.19 [")
    assert lines["no attack"]["MR wanda [95 %]"].startswith("0.10 [")
    assert lines["dori"]["MR twin [95 %]"].startswith("0.02 [")
    assert lines["dori"]["MR unseen"] == "0.04 / 0.04"
    assert lines["dori"]["median work"] == "120 [80, > 400] / 120 [80, > 400]"
    assert lines["no attack"]["Displacement"] == "–"
    assert lines["dori"]["gradients"] == "400"


@pytest.fixture
def defended(make_rows: Callable[..., Rows]) -> Rows:
    """Two defenses under two attacks: one holds, the other is broken by what it was not trained on."""
    rates = {"first": (0, 1, 1), "second": (2, 2, 40), "twin": (1, 1, 1), "original": (47, 47, 48)}
    hits = {}
    for model, (none, dori, words) in rates.items():
        controls = {} if model == "twin" else {"unseen": 1, "seen": 0}
        hits[model] = {"verbatim": none, **controls}
        hits[f"{model}+dori"] = {"verbatim": dori, **controls}
        hits[f"{model}+hard_prompt"] = {"verbatim": words, **controls}
    rows = make_rows(hits=hits, fid={"original": 0.08, "first": 0.09, "second": 0.1}, n=N)
    for row in rows:
        model = row["setting"].partition("+")[0]
        row["defense"] = model if model in ("first", "second") else "none"
        row["denoiser_evaluations"] = 7000 if row["setting"] == "first" else 1000
    return rows


def test_a_line_for_each_defense_and_the_twin_at_the_end(defended: Rows) -> None:
    block = defense_table(defended, {"first": 9.26})
    assert block is not None
    lines = {line[0]: dict(zip(block.columns, line, strict=True)) for line in block.lines}
    assert list(lines) == ["original", "first", "second", "twin"]
    assert lines["second"]["MR hard_prompt [95 %]"].startswith("0.83 [")
    assert lines["first"]["MR no attack [95 %]"].startswith("0.00 [")
    assert lines["twin"]["MR dori [95 %]"].startswith("0.02 [")
    assert lines["first"]["MR controls"] == "0.02"
    assert lines["first"]["FID"] == "0.0900"
    assert (lines["first"]["denoiser evaluations"], lines["second"]["denoiser evaluations"]) == ("6,000", "0")
    assert (lines["first"]["training, minutes"], lines["second"]["training, minutes"]) == ("9.3", "–")
    assert lines["twin"]["MR controls"] == lines["twin"]["FID"] == "–"


def test_defenses_under_one_attack_are_no_such_table(defended: Rows, several: list[Rows]) -> None:
    assert defense_table([row for row in defended if "hard_prompt" not in row["setting"]]) is None
    assert defense_table(merge(several)) is None


def test_one_attack_is_no_table_of_attacks(several: list[Rows]) -> None:
    assert attack_table(several[0]) is None


def test_a_multirun_of_attacks_writes_their_table(several: list[Rows], tmp_path: Path) -> None:
    for number, rows in enumerate(several):
        folder = tmp_path / str(number)
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra/overrides.yaml").write_text("- x\n")
        write_rows(folder / "rows.json", rows)
    merge_folder(tmp_path)
    assert "random_search" in (tmp_path / "table.md").read_text()
    assert "median work" in (tmp_path / "report.html").read_text()
