"""The extraction study as a whole, on a tiny pipeline: rows, figure, verdict, stages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from dori.app.course import Course
from dori.app.findings import findings
from dori.app.finish import Job
from dori.core.config import build
from dori.core.errors import InputError
from dori.data import KINDS
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from tests import tiny

SETTINGS = ["original", "random", "wanda", "wanda+dori"]
Result = tuple[Run, list[dict[str, Any]], pd.DataFrame, Outcome]
Study = Callable[..., Result]


@pytest.fixture(scope="module")
def study(v_folder: Path, table: Path, ordinary: Path, measures: Path) -> Study:
    def go(cache: Path, *more: str) -> Result:
        words = ["study=extraction", "study.samples=6", "study.clique=3", "model.images_per_prompt=4"]
        all_words = [*words, f"cache={cache}", *more]
        run = Run.configured(
            tiny.composed(*tiny.study_overrides(v_folder, table, ordinary, measures, *all_words))
        )
        outcome = build(run.cfg.study)(run)
        return run, outcome.rows, outcome.images, outcome

    return go


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(study: Study, cache: Path) -> Result:
    return study(cache)


def named(rows: list[dict], setting: str, kind: str) -> dict[str, Any]:
    (row,) = [row for row in rows if (row["setting"], row["kind"]) == (setting, kind)]
    return row


def test_every_condition_and_kind_has_its_row(first: Result) -> None:
    _, rows, images, _ = first
    assert [(row["setting"], row["kind"]) for row in rows] == [(s, kind) for s in SETTINGS for kind in KINDS]
    for row in rows:
        shares = {name: row["metrics"][name] for name in ("Extracted", "Cliques", "Clique_Precision")}
        assert all({"value", "low", "high", "n"} <= share.keys() for share in shares.values())
        assert shares["Extracted"]["n"] == shares["Cliques"]["n"] == 1
        assert shares["Clique_Precision"]["n"] == shares["Cliques"]["value"]
        assert shares["Extracted"]["value"] <= shares["Cliques"]["value"]
        # the samples are the study's, not the model's
        assert (row["params"]["study.samples"], row["params"]["study.clique"]) == (6, 3)
        json.dumps(row, allow_nan=False)
    assert len(images) == len(SETTINGS) * len(KINDS) * 6
    assert not images.duplicated(["setting", "target", "seed"]).any()


def test_what_is_extracted_has_enough_samples_that_match(first: Result) -> None:
    run, rows, images, _ = first
    assert {row["metrics"]["Cliques"]["value"] for row in rows} != {0}, "nothing to be looked at"
    for row in rows:
        chosen = images[(images.setting == row["setting"]) & (images.kind == row["kind"])]
        matching = (chosen.sscd_orig > run.evaluation.made.threshold).sum()
        assert row["metrics"]["Extracted"]["value"] <= (matching >= 3)


def test_evaluations_count_every_sample(first: Result) -> None:
    images = 6 * 2 * 2  # samples, steps, both halves of the guidance
    assert named(first[1], "original", "seen")["denoiser_evaluations"] == images
    assert named(first[1], "wanda+dori", "seen")["denoiser_evaluations"] > images


def test_a_second_run_computes_nothing(study: Study, cache: Path, first: Result) -> None:
    run, rows, _, _ = study(cache)
    assert all(stage.cached for stage in run.stages.results)
    assert json.dumps(rows) == json.dumps(first[1])
    names = [stage.name for stage in run.stages.results]
    assert len(names) == len(set(names)), "a stage was asked for twice"


def test_another_clique_needs_no_other_sample(study: Study, cache: Path, first: Result) -> None:
    run, rows, _, _ = study(cache, "study.clique=6")
    assert all(stage.cached for stage in run.stages.results)
    for row, before in zip(rows, first[1], strict=True):
        assert row["metrics"]["Cliques"]["value"] <= before["metrics"]["Cliques"]["value"]


def test_the_batch_does_not_matter(study: Study, first: Result, tmp_path: Path) -> None:
    """Also where one prompt has more samples than fit into a batch."""
    _, rows, _, _ = study(tmp_path, "model.batch=4", "evaluation.batch=4")
    for row, other in zip(rows, first[1], strict=True):
        for name, metric in row["metrics"].items():
            assert metric["value"] == pytest.approx(other["metrics"][name]["value"], abs=1e-3), name


def test_without_pruning_and_attack_the_original_stands_alone(study: Study, tmp_path: Path) -> None:
    _run, rows, _, made = study(tmp_path, "pruning=none", "attack=none")
    assert {row["setting"] for row in rows} == {"original"} and made.mitigated is None


def test_every_budget_has_its_rows(study: Study, cache: Path, first: Result) -> None:
    _, rows, _, _ = study(cache, "attack.snapshots=[1,2]")
    found = {(row["setting"], row["params"].get("steps")) for row in rows}
    assert found == {(s, None) for s in SETTINGS[:3]} | {("wanda+dori", 1), ("wanda+dori", 2)}
    (finding,) = [each for each in findings(rows) if each.answers]
    assert len(finding.verdicts) == 2


@pytest.mark.parametrize(("words", "text"), [
    (["study.samples=1"], "study.samples must be a whole number, 2 or more, but is 1"),
    (["study.samples=2.5"], "study.samples must be a whole number, 2 or more, but is 2.5"),
    (["study.clique=1"], "study.clique must be a whole number, 2 or more, but is 1"),
    (["study.clique=7"], r"study.clique \(7\) is larger than study.samples \(6\)"),
    (["attack.restarts=2"], "one trigger per image: attack.restarts is 2, set 1"),
])  # fmt: skip
def test_what_cannot_be_found_is_refused_before_any_stage(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], text: str
) -> None:
    def works(*arguments: object) -> None:
        raise AssertionError("a stage was begun")

    monkeypatch.setattr("dori.core.stages.Stages.run", works)
    with pytest.raises(InputError, match=text):
        study(tmp_path, *words)


def test_the_job_shows_the_verdict_the_table_and_the_figure(
    first: Result, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, _, _, outcome = first
    run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    with Job(run, tmp_path, Course()) as job:
        job.finish(outcome)
    with Image.open(tmp_path / "extraction.png") as figure:
        assert figure.width > 600
    report, told = (tmp_path / "report.html").read_text(), " ".join(capsys.readouterr().out.split())
    for text in (report, told):
        assert "Training data extraction" in text and "at least 3 of 6 samples" in text
        assert "Clique_Precision" in text
    assert report.count("data:image/png;base64,") == 3
