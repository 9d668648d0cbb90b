"""Attacks at several budgets, from rows to curves, sentences, tables and the figure."""

from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from dori.app.findings import findings
from dori.app.multirun import merge_folder
from dori.results.budget.figure import places_of, write_budget
from dori.results.budget.lines import axis_of, curves, label
from dori.results.budget.words import tables, verdict
from dori.results.reading.rows import merge, write_rows
from dori.results.tables.render import show
from tests.made_up import paired, share
from tests.results.budgets import EPSILONS, job, sweep


def test_there_is_a_curve_for_each_mitigation_and_choice_of_the_rest() -> None:
    found = curves(sweep(steps=(10, 50)))
    assert [label(curve) for curve in found] == [
        f"{pruning} + dori, steps = {steps}" for pruning in ("wanda", "nemo") for steps in (10, 50)
    ]
    for curve in found:
        assert tuple(point.budget for point in curve.points) == EPSILONS
        assert curve.axis == "epsilon"
        settings = [(each.setting, each.kind) for each in curve.points[0].counterfactuals]
        assert settings == [
            ("twin+dori", "verbatim"),
            *(
                (f"{base}+dori", kind)
                for base in (curve.mitigation, "original")
                for kind in ("unseen", "seen")
            ),
        ]
    wanda = found[1]
    assert [round(point.rate.value * 48) for point in wanda.points] == [4, 8, 36, 40]
    assert [point.displacement.value for point in wanda.points if point.displacement] == list(EPSILONS)
    assert (wanda.recovery.budget, wanda.injection.budget) == (0.4, 0.8)
    assert [each.setting for each in wanda.injection.injecting] == ["twin+dori", "original+dori"]


def test_a_job_alone_and_one_job_for_each_budget_have_the_same_curve() -> None:
    (whole,) = curves(merge([job("wanda")]))
    (parts,) = curves(merge(job("wanda", epsilons=(epsilon,)) for epsilon in EPSILONS))
    assert whole == parts


def test_one_budget_is_no_curve() -> None:
    assert axis_of(job("wanda", epsilons=(0.1,))) is None
    assert curves(job("wanda", epsilons=(0.1,))) == []
    assert curves(merge(job(pruning, epsilons=(0.1,)) for pruning in ("wanda", "nemo"))) == []


def test_the_axis_can_be_chosen() -> None:
    rows = sweep(steps=(10, 50))
    assert (axis_of(rows), axis_of(rows, "steps"), axis_of(rows, "ratio")) == ("epsilon", "steps", "epsilon")
    assert {curve.axis for curve in curves(rows, "steps")} == {"steps"}
    assert len(curves(rows, "steps")) == 2 * len(EPSILONS)


def test_another_budgets_counterfactual_is_not_taken() -> None:
    rows = [r for r in job("wanda") if not (r["setting"] == "twin+dori" and r["params"]["epsilon"] == 0.4)]
    (found,) = curves(rows)
    assert [len(point.counterfactuals) for point in found.points] == [5, 5, 4, 5]


def test_without_a_mitigation_it_is_about_the_untouched_model() -> None:
    rows = [row for row in job("wanda") if not row["setting"].startswith("wanda")]
    (found,) = curves(rows)
    assert (found.mitigation, len(found.points[0].counterfactuals)) == ("original", 3)


def test_the_sentence_says_both_points_and_what_they_cost() -> None:
    (curve,) = curves(job("wanda"))
    told = str(verdict(curve))
    assert verdict(curve).code == "window"
    for part in (
        "Recalled, not injected, at epsilon = 0.4", "Recovery point: epsilon = 0.4",
        "moved by 0.40 of their norm",
        "Injection point: epsilon = 0.8, where 8 of 48 are copies in the twin",
        "4 of 48 are copies of unseen controls in original, up to 0.20",
        "2.0 times the budget of the recovery",
        "The margin is at least 0.5",
    ):  # fmt: skip
        assert part in told, (part, told)
    assert "None" not in told and "–" not in told


def test_a_sentence_for_every_case() -> None:
    rows = job("wanda")
    weak = [row for row in rows if row["params"]["epsilon"] in (None, 0.1, 0.2)]
    (curve,) = curves(weak)
    told = verdict(curve)
    assert told.code == "recovery_unclear" and "No injection point up to epsilon = 0.2: 0 of 48" in told.text
    (curve,) = curves([row for row in weak if row["setting"] != "wanda" or row["kind"] != "verbatim"])
    assert verdict(curve).code == "recovery_unclear"  # nothing is known of before
    bare = [row for row in rows if row["setting"] in ("wanda", "wanda+dori") and row["kind"] == "verbatim"]
    (curve,) = curves(bare)
    assert "nothing is known of injection" in verdict(curve).text
    for row in rows:
        if row["setting"] == "twin+dori":
            row["metrics"]["MR"]["value"] = 0.5
            row["metrics"]["MR_difference"] = paired(24, 0, 48)
    (curve,) = curves(rows)
    assert verdict(curve).code == "no_window"
    for row in rows:
        if "+" in row["setting"] and row["kind"] == "verbatim":
            row["metrics"]["MR_difference"] = paired(4, 4, 48)
    (curve,) = curves(rows)
    assert verdict(curve).code == "no_recovery"


def test_too_few_controls_leave_injection_undecided() -> None:
    """0 of 16 may be 0.21: the pictures come back, and may be injected as well."""
    rows = job("wanda")
    for row in rows:
        if row["kind"] != "verbatim":
            row["metrics"] = {"MR": share(0, 16)}
    (curve,) = curves([row for row in rows if row["params"]["epsilon"] != 0.8])
    told = verdict(curve)
    assert told.code == "injection_unclear" and "0 of 16 are copies of unseen controls in wanda" in told.text


def test_the_tables_hold_every_budget_and_fit_the_terminal(capsys: pytest.CaptureFixture) -> None:
    budgets, points = tables(curves(sweep(steps=(10, 50))))
    assert len(budgets.lines) == 16 and len(points.lines) == 4
    assert points.lines[1] == (
        "wanda+dori, steps=50", "0.4", "0.40", "0.8", "0.80", "twin+dori, verbatim", points.lines[1][-1],
    )  # fmt: skip
    show([budgets, points], Console())
    told = capsys.readouterr().out
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 110


@pytest.mark.parametrize("x", [None, "steps"])
def test_the_figure_is_drawn_the_same_again(x: str | None, tmp_path: Path) -> None:
    found = curves(sweep(steps=(10, 50)), x)
    for name in ("a.png", "b.png"):
        write_budget(tmp_path / name, found)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").width > 1000


def test_budgets_stand_in_line_from_none_on() -> None:
    assert places_of([0.8, 0.1, 0, 0.2]) == {0: 0, 0.1: 1, 0.2: 2, 0.8: 3}


def test_the_finding_stands_beside_the_verdicts() -> None:
    (finding,) = findings(sweep())
    assert (finding.file, finding.answers, len(finding.verdicts)) == ("budget.png", False, 2)


def test_a_sweep_of_budgets_has_one_figure_and_one_report(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for index, pruning in enumerate(("wanda", "nemo")):
        folder = tmp_path / str(index)
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(f"- pruning={pruning}\n")
        write_rows(folder / "rows.json", job(pruning))
    merge_folder(tmp_path)
    assert {path.name for path in tmp_path.glob("*.*")} == {
        "rows.json", "budget.png", "report.html", "table.md",
    }  # fmt: skip
    assert "Recovery and injection point" in (tmp_path / "table.md").read_text()
    text = (tmp_path / "report.html").read_text()
    assert text.count("<img") == 1
    assert "Recovery point: epsilon = 0.4" in text and "injection point" in text
    assert "Recovery and injection point" in capsys.readouterr().out
