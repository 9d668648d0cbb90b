"""Two jobs that differ in one setting, whichever it is: their rows merge, and there is a report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dori.app.multirun import merge_folder
from dori.core.config import build
from dori.pruning import masks
from dori.results.reading.comparison import varying
from dori.results.reading.rows import write_rows
from dori.steps.run import Run
from tests import tiny

Rows = list[dict[str, Any]]
Sweep = Callable[..., Rows]
WANDAS = ("pruning.ratio", "pruning.steps", "pruning.used")


@pytest.fixture(scope="module")
def job(v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path_factory: Any) -> Sweep:
    """``job("pruning.base=ordinary")``: the rows of the main study; all jobs share a cache."""
    cache, done = tmp_path_factory.mktemp("cache"), {}

    def go(*words: str) -> Rows:
        if words not in done:
            more = (f"cache={cache}", "model.images_per_prompt=1", *words)
            whole = tiny.study_overrides(v_folder, table, ordinary, measures, *more)
            if "pruning=from_file" in words:
                whole = [word for word in whole if not word.startswith(WANDAS)]
            run = Run.configured(tiny.composed(*whole))
            done[words] = build(run.cfg.study)(run).rows
        return done[words]

    return go


@pytest.fixture
def merged(tmp_path: Path) -> Sweep:
    """What the end of a multirun makes of its jobs' rows."""

    def go(*jobs: Rows) -> Rows:
        for place, rows in enumerate(jobs):
            (tmp_path / f"{place}/.hydra").mkdir(parents=True)
            (tmp_path / f"{place}/.hydra/overrides.yaml").write_text("[]")
            write_rows(tmp_path / f"{place}/rows.json", rows)
        found = merge_folder(tmp_path)
        assert (tmp_path / "report.html").exists()
        return found

    return go


ALL = {"original", "original+dori", "wanda", "random", "wanda+dori"}
CUT = ALL - {"original", "original+dori"}
SWEPT = [  # what is set, how it is called, and which settings' rows it touches
    ("pruning.base=ordinary", "pruning.base", CUT),
    ("evaluation.threshold=0.5", "evaluation.threshold", ALL),
    ("data.ordinary=null", "data.ordinary", ALL),
    ("model.guidance=3.0", "model.guidance", ALL),
    ("model.images_per_prompt=2", "model.images_per_prompt", ALL),
    ("seed=1", "seed", ALL),
    ("attack.optimizer.lr=0.3", "optimizer.lr", {"wanda+dori"}),
    ("attack/start=gaussian", "start", {"wanda+dori"}),
    ("trainer.precision=bf16-mixed", "trainer.precision", ALL),
    ("pruning.seed=5", "pruning.seed", CUT),
    ("study.baseline=false", "study.baseline", ALL),
    ("data.targets=2", "data.targets", ALL),
]
QUICK = 2  # of them among the tests that are not slow


@pytest.mark.parametrize(
    ("word", "name", "touched"),
    [*SWEPT[:QUICK], *(pytest.param(*each, marks=pytest.mark.slow) for each in SWEPT[QUICK:])],
)
def test_whatever_is_swept_there_is_a_report(
    job: Sweep, merged: Sweep, word: str, name: str, touched: set[str]
) -> None:
    one, two = job(), job(word)
    rows = merged(one, two)
    assert varying(rows) == [name]
    for setting in {row["setting"] for row in one} & {row["setting"] for row in two}:
        alike = [row for row in rows if row["setting"] == setting]
        values = {json.dumps(row["params"].get(name)) for row in alike}
        assert len(values) == (2 if setting in touched else 1), setting
        # what it does not touch is one row
        each = [row for row in (*one, *two) if row["setting"] == setting]
        assert len(alike) == (len(each) if setting in touched else len(each) / 2)


@pytest.mark.parametrize("word", ["study.attack_original=true", "pruning=none"])
def test_jobs_that_only_have_other_rows_share_the_rest(job: Sweep, merged: Sweep, word: str) -> None:
    one, two = job(), job(word)
    rows = merged(one, two)
    assert varying(rows) == []
    assert {row["setting"] for row in rows} == {row["setting"] for row in (*one, *two)}
    keys = {(row["setting"], row["kind"]) for row in rows}
    assert len(rows) == len(keys)


def test_what_changes_no_figure_makes_no_row(job: Sweep, merged: Sweep) -> None:
    batches = ("model.batch=4", "evaluation.batch=5", "attack.batch=2", "trainer.devices=1")
    assert len(merged(job(), job(*batches))) == len(job())


def test_models_and_masks_of_one_name_are_told_apart_by_their_content(
    job: Sweep, merged: Sweep, v_folder: Path, epsilon_folder: Path, tmp_path: Path,
    make_diffusion: Callable[..., Any],
) -> None:  # fmt: skip
    for place, folder in (("a", v_folder), ("b", epsilon_folder)):
        shutil.copytree(folder, tmp_path / "models" / place / "same")
    plain = ("pruning=none", "attack=none", "data.ordinary=null")
    models = [job(*plain, f"model.path={tmp_path}/models/{place}/same") for place in "ab"]
    assert varying(merged(*models)) == ["model.hash"]
    layer, weight = next(
        (name, module.weight) for name, module in make_diffusion().denoiser.named_modules()
        if name.endswith("ff.net.2")
    )  # fmt: skip
    for place in "01":
        shutil.rmtree(tmp_path / place)
    cut = []
    for place in (0, 1):
        mask = torch.zeros_like(weight, dtype=torch.bool)
        mask[place] = True
        (tmp_path / f"masks/{place}").mkdir(parents=True)
        masks.save({layer: mask}, tmp_path / f"masks/{place}/mask.safetensors", {})
        path = f"pruning.path={tmp_path}/masks/{place}/mask.safetensors"
        cut.append([*plain[1:], "pruning=from_file", path])
    rows = merged(*(job(*words) for words in cut))
    assert varying(rows) == ["pruning.path.hash"]
    assert str(tmp_path) not in json.dumps([row["params"] for row in rows])
    assert len([row for row in rows if row["setting"] == "original"]) == 4  # a kind each, once
