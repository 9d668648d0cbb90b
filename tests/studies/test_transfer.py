"""The transfer study as a whole, on a tiny pipeline: who finds a trigger, and who draws from it."""

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
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from tests import tiny

Result = tuple[Run, list[dict[str, Any]], pd.DataFrame]
MODELS = ["original", "wanda", "magnitude", "twin"]
SMALL = ["study=transfer", "pruning@study.other=magnitude", "study.other.like=null", "study.other.ratio=0.3"]


@pytest.fixture(scope="module")
def go(
    v_folder: Path, epsilon_folder: Path, table: Path, ordinary: Path, measures: Path
) -> Callable[..., Run]:
    def run(cache: Path, *more: str) -> Run:
        twin = [
            "+model.twin._target_=dori.diffusion.StableDiffusion", "+model.twin.name=tiny_twin",
            f"+model.twin.path={v_folder}", f"+model.twin.denoiser={epsilon_folder}/unet",
            "+model.twin.sampling_steps=2", "+model.twin.guidance=2.0", "+model.twin.images_per_prompt=2",
        ]  # fmt: skip
        words = [*SMALL, *twin, "data.ordinary=null", f"cache={cache}", *more]
        return Run.configured(
            tiny.composed(*tiny.study_overrides(v_folder, table, ordinary, measures, *words))
        )

    return run


@pytest.fixture(scope="module")
def found(go: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Result:
    run = go(tmp_path_factory.mktemp("cache"))
    outcome = build(run.cfg.study)(run)
    return run, outcome.rows, outcome.images


def setting(source: str, drawn: str) -> str:
    return f"{source}+dori" + ("" if source == drawn else f">{drawn}")


def test_every_model_draws_from_every_models_triggers(found: Result) -> None:
    _, rows, images = found
    expected = [*MODELS, *(setting(source, drawn) for source in MODELS for drawn in MODELS)]
    assert list(dict.fromkeys(row["setting"] for row in rows)) == expected
    assert {row["kind"] for row in rows} == {"verbatim", "template", "unseen"}
    assert set(images.setting) == set(expected)
    keys = [json.dumps([row["setting"], row["kind"], row["params"]], sort_keys=True) for row in rows]
    assert len(set(keys)) == len(keys)


def test_a_row_is_about_the_model_that_draws(found: Result) -> None:
    _, rows, _ = found
    by = {row["setting"]: row for row in rows if row["kind"] == "verbatim"}
    for source in MODELS:
        moved = {by[setting(source, drawn)]["metrics"]["Displacement"]["value"] for drawn in MODELS}
        assert len(moved) == 1  # the same triggers
        for drawn in MODELS:
            row = by[setting(source, drawn)]
            assert row["model"] == by[drawn]["model"]
            assert row["pruning"] == by[drawn]["pruning"]
            # what cut either of the two models; the other mitigation is the study's
            assert ("pruning.ratio" in row["params"]) == ("wanda" in (source, drawn))
            assert row["params"]["study.other.ratio"] == 0.3
            assert row["gradient_evaluations"] == 4
    assert by["wanda+dori>original"]["fingerprint"] != by["wanda+dori"]["fingerprint"]
    # the mask that the triggers were found with is work that the row needs
    assert by["wanda+dori>original"]["denoiser_evaluations"] > by["original+dori"]["denoiser_evaluations"]


def test_the_job_shows_its_matrix_and_its_verdict(
    found: Result, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, rows, images = found
    (finding,) = findings(rows)
    verdict = finding.verdicts[0][1]
    assert verdict.figures and "wanda's triggers in own model above the twin" in [
        line[0] for line in verdict.figures.lines
    ]
    assert [line[0] for line in finding.tables[0].lines] == [
        "no attack",
        "original",
        "wanda",
        "magnitude",
        "twin",
    ]
    run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    with Job(run, tmp_path, Course()) as job:
        job.finish(Outcome(rows, images))
    with Image.open(tmp_path / "transfer.png") as figure:
        assert figure.width > 600
    assert "Transfer of triggers" in (tmp_path / "report.html").read_text()
    assert "drawn by twin" in capsys.readouterr().out


@pytest.mark.parametrize(("more", "message"), [
    (("pruning=none",), "attacks pruned models"), (("attack=none",), "attacks pruned models"),
    (("attack.snapshots=[0,1]",), "one budget"),
    (("defense=bos_attention", "pruning=wanda"), "study=transfer looks at pruning, not at defense=bos_att"),
])  # fmt: skip
def test_what_it_cannot_compare_is_refused(
    go: Callable[..., Run], tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    run = go(tmp_path, *more)
    with pytest.raises(InputError, match=message):
        build(run.cfg.study)(run)
    assert not run.stages.results
