"""docs/rows.md and the contract behind it, against the files of real jobs of every study."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from dori.app.course import Course
from dori.app.finish import Job
from dori.core.config import build
from dori.reference import contract
from dori.results.reading.words import SUITE_METRICS_EXPLAINED
from dori.steps.run import Run
from tests import tiny

JOBS = {
    "mitigation": [
        "pruning=nemo", "pruning.seeds=2", "pruning.k_max=2", "pruning.theta_min=4.5",
        "model.noise_similarity.gaussian=false", "model.noise_similarity.kernel_size=3",
        "model.noise_similarity.betas=[1.0]", "attack.restarts=2", "attack.watch=true",
        "attack.check_every=1",
    ],
    "extraction": ["study.samples=3", "study.clique=2"],
    "subspace": ["attack=none", "data.targets=2", "study.groups=2"],
}  # fmt: skip
SOMETIMES, OF_LOCALITY = {"features", "blank_images", "cut_prompts"}, {"left_out", "points", "images"}


@pytest.fixture(scope="module")
def job(
    v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``job("mitigation")``: the folder that a small job of a study leaves."""
    cache, done = tmp_path_factory.mktemp("cache"), {}

    def go(study: str) -> Path:
        if study not in done:
            done[study] = tmp_path_factory.mktemp(study)
            words = tiny.study_overrides(v_folder, table, ordinary, measures, f"cache={cache}")
            chosen = {word.partition("=")[0] for word in JOBS[study]}
            dropped = {f"{key}." for key in chosen if key in ("pruning", "attack")}
            words = [
                w for w in words if w.partition("=")[0] not in chosen and not w.startswith(tuple(dropped))
            ]
            cfg = tiny.composed(*words, *JOBS[study], f"study={study}", f"logger.save_dir={done[study]}")
            run = Run.configured(cfg)
            with Job(run, done[study], Course()) as each:
                each.finish(build(cfg.study)(run))
        return done[study]

    return go


@pytest.mark.parametrize("study", JOBS)
def test_rows_hold_what_the_contract_names(job: Callable[[str], Path], study: str) -> None:
    rows = json.loads((job(study) / "rows.json").read_text())
    assert contract.unexplained(rows) == []
    required = contract.ROW.keys() - SOMETIMES - OF_LOCALITY
    assert all(required <= row.keys() for row in rows)


def test_the_contract_names_what_there_is(job: Callable[[str], Path]) -> None:
    rows = [row for study in JOBS for row in json.loads((job(study) / "rows.json").read_text())]
    assert contract.ROW.keys() - OF_LOCALITY == {key for row in rows for key in row}
    figures = {key for row in rows for figure in row["metrics"].values() for key in figure}
    assert figures >= contract.FIGURE.keys()
    # all but those that take locality, a suite of quality, a twin, many captions or a pooled vector
    elsewhere = {
        *contract.LOCALITY, *SUITE_METRICS_EXPLAINED, "MR_over_twin", "FID_floor", "Triggers", "Share",
        "Images", "Fall", "Used_fall", "Below_others", "Selected", "Weights", "Displacement_sequence",
        "Displacement_pooled",
    }  # fmt: skip
    assert contract.METRICS.keys() - elsewhere - {name for row in rows for name in row["metrics"]} == set()


@pytest.mark.parametrize("study", ["mitigation", "subspace"])
def test_images_and_timing_have_the_columns_of_the_contract(job: Callable[[str], Path], study: str) -> None:
    assert list(pd.read_parquet(job(study) / "images.parquet").columns) == list(contract.IMAGE)
    stages = json.loads((job(study) / "timing.json").read_text())
    assert stages and all(contract.STAGE.keys() <= stage.keys() for stage in stages)


def test_triggers_hold_what_the_contract_names(job: Callable[[str], Path]) -> None:
    found = load_file(job("mitigation") / "triggers-nemo.safetensors")
    assert contract.TRIGGER.keys() - found.keys() == {"noise", "spread"}
    assert found.keys() <= contract.TRIGGER.keys()


def test_what_nobody_explained_is_found() -> None:
    row = {"kind": "odd", "params": {"metrics.mine": "mine"}, "new": 1,
           "metrics": {"MR": {"value": 1, "extra": 2}, "mine": {}, "Unheard": {}}}  # fmt: skip
    assert contract.unexplained([row]) == ["Unheard", "extra", "new", "odd"]
