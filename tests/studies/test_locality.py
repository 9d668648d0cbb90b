"""The locality study as a whole, on a tiny pipeline that replicates by a threshold lower than its noise."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from dori.app.course import Course
from dori.app.findings import findings
from dori.app.finish import Job
from dori.core.config import build
from dori.core.errors import InputError
from dori.core.stages import Stages
from dori.reference.contract import unexplained
from dori.results.reading.rows import dumps
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from dori.studies.locality.analysis.members import ORDINARY, Member
from dori.studies.locality.inside import activation_rows
from dori.studies.locality.triggers import captions
from tests import tiny

Result = tuple[Run, list[dict[str, Any]], pd.DataFrame]
SMALL = (
    "study=locality", "pruning=none", "attack.restarts=2", "data.targets=all", "study.others=3",
    "study.cuts=[1]", "study.paths=1", "study.between=[0,0.5,1]", "study.perplexity=3", "study.block=4",
    "study.methods.wanda.ratio=0.1", "study.methods.wanda.steps=4", "study.methods.wanda.used=2",
    "study.methods.nemo.seeds=2", "study.methods.nemo.theta_step=2.0", "study.methods.nemo.threshold=0.9",
    "study.saliency.pairs=2", "study.saliency.batch=8", "evaluation.threshold=0.01",
    "++model.noise_similarity._target_=dori.diffusion.similarity.ms_ssim",
    "++model.noise_similarity._partial_=true", "++model.noise_similarity.gaussian=false",
    "++model.noise_similarity.kernel_size=5", "++model.noise_similarity.betas=[1.0]",
)  # fmt: skip


@pytest.fixture(scope="module")
def go(
    epsilon_folder: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Run]:  # fmt: skip
    table = tiny.build_table(tmp_path_factory.mktemp("six"), (*("verbatim",) * 4, *tiny.KINDS))

    def run(cache: Path, *more: str) -> Run:
        words = [word for word in SMALL if "attack=none" not in more or not word.startswith("attack.")]
        given = tiny.study_overrides(
            epsilon_folder, table, ordinary, measures, *words, f"cache={cache}", *more
        )
        return Run.configured(tiny.composed(*given))

    return run


@pytest.fixture(scope="module")
def found(go: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Result:
    run = go(tmp_path_factory.mktemp("cache"))
    outcome = build(run.cfg.study)(run)
    return run, outcome.rows, outcome.images


def test_its_rows_hold_what_the_contract_names(found: Result) -> None:
    assert unexplained(found[1]) == []


def of(rows: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {row["setting"]: row["metrics"] for row in rows if row["kind"] == kind}


def test_every_analysis_has_its_baselines(found: Result) -> None:
    _, rows, images = found
    groups = {"one image", "different images", "memorized prompts", "ordinary prompts", "random embeddings"}
    assert set(of(rows, "embeddings")) == groups | {"trigger and its start"}
    assert set(of(rows, "activations")) == groups
    assert set(of(rows, "weights")) == {
        f"{method}: {group}" for method in ("nemo", "wanda") for group in groups
    }
    masks = ("no pruning", "own triggers", "other images' triggers", "ordinary prompts", "random weights")
    assert set(of(rows, "cuts")) == {f"{method}: {mask}" for method in ("nemo", "wanda") for mask in masks}
    assert len(of(rows, "criteria")) == 10
    attacked = [row for row in rows if row["attack"] != "none" and row["kind"] == "verbatim"]
    assert {row["params"]["start"] for row in attacked} == {"gaussian", "ordinary"}
    assert {row["kind"] for row in rows} >= {"verbatim", "template", "seen", "unseen"}
    assert set(images["start"]) == {"gaussian", "ordinary"}
    dumps(rows)  # every one is unique


def test_masks_have_equal_counts_and_all_figures_their_n(found: Result) -> None:
    _, rows, _ = found
    cuts = of(rows, "cuts")
    for k in (1,):
        count = cuts["wanda: own triggers"][f"Weights/{k}"]["value"]
        assert count > 0
        assert cuts["wanda: random weights"][f"Weights/{k}"]["value"] == count
        assert cuts["wanda: other images' triggers"][f"Weights/{k}"]["value"] <= count
        assert (
            cuts["wanda: own triggers"][f"Left/{k}"]["n"]
            <= of(rows, "triggers")["triggers"]["Images"]["value"]
        )
    (points,) = [row["points"] for row in rows if row["kind"] == "map"]
    assert (
        len(points["PCA"])
        == len(points["t-SNE"])
        == 2 * of(rows, "triggers")["triggers"]["Triggers"]["value"]
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_that_hook_the_same_layers_do_not_meet(
    go: Callable[..., Run], tmp_path: Path, threads: int
) -> None:
    """Each of them has the layers to itself, on however many cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        run = go(tmp_path)
        members = [Member(target, ORDINARY, target.name) for target in captions(run)[:5]]
        rows = [activation_rows(replace(run, stages=Stages(tmp_path / str(n))), members, n) for n in (1, 5)]
    finally:
        torch.set_num_threads(before)
    for row, other in zip(*rows, strict=True):
        for metric, figure in row["metrics"].items():
            if figure["value"] is not None:
                assert figure["value"] == pytest.approx(other["metrics"][metric]["value"], rel=1e-4)


def test_a_rerun_takes_everything_from_the_cache_and_gives_the_same(
    found: Result, go: Callable[..., Run]
) -> None:
    run, rows, _ = found
    again = go(run.stages.root, "study.block=3")
    other = build(again.cfg.study)(again).rows
    assert all(result.cached for result in again.stages.results)
    assert dumps(other) == dumps(rows)


def test_the_job_shows_its_four_figures_and_verdicts(
    found: Result, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, rows, images = found
    told = findings(rows)
    assert [finding.file for finding in told] == [
        f"locality_{kind}.png" for kind in ("embeddings", "activations", "weights", "cuts")
    ]
    run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    with Job(run, tmp_path, Course()) as job:
        job.finish(Outcome(rows, images))
    for finding in told:
        with Image.open(tmp_path / finding.file) as figure:
            assert figure.width > 600
        assert finding.title in (tmp_path / "report.html").read_text()
    assert "L2 per token" in capsys.readouterr().out
    assert json.loads((tmp_path / "rows.json").read_text()) == json.loads(dumps(rows))


def test_without_any_trigger_it_says_so_and_ends_well(
    go: Callable[..., Run], found: Result, tmp_path: Path
) -> None:
    run = go(found[0].stages.root, "evaluation.threshold=0.9999")
    outcome = build(run.cfg.study)(run)
    rows, images = outcome.rows, outcome.images
    assert not of(rows, "embeddings")
    (finding,) = findings(rows)
    assert "0 triggers of 0 images" in str(finding.verdicts[0][1])
    assert "verbatim/" in str(finding.verdicts[0][1]) or "Left out" in str(finding.verdicts[0][1])
    run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    with Job(run, tmp_path, Course()) as job:
        job.finish(Outcome(rows, images))
    assert not (tmp_path / "locality_embeddings.png").exists()


@pytest.mark.parametrize(("more", "message"), [
    (("attack=none",), "there is no attack"),
    (("data.targets=2",), "needs 5 memorized targets, as its intervals are over images, but the data has 3"),
    (("study.perplexity=500",), "perplexity must be above 0 and below the number of points, but is 500"),
    (("study.methods.wanda.apply=set",), "methods.wanda selects for all prompts at once"),
    (("study.cuts=[0]",), "study.cuts must be whole numbers above zero, but has 0"),
    (("study.between=[0,2]",), "study.between must lie from 0 to 1, but has 2"),
    (("study.others=0",), "study.others must be above zero"),
    (("attack.snapshots=[1,2]",), "takes one budget"),
    (("defense=bos_attention", "pruning=wanda", "pruning.ratio=0.1"), "not at defense=bos_attention"),
])  # fmt: skip
def test_what_cannot_work_is_refused_early(
    go: Callable[..., Run], tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    run = go(tmp_path, *more)
    with pytest.raises(InputError, match=message):
        build(run.cfg.study)(run)
    assert not run.stages.results


def test_a_model_without_the_layers_is_refused_early(
    go: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dori.diffusion.StableDiffusion.LAYERS", {})
    run = go(tmp_path)
    with pytest.raises(InputError, match=r"has no (values|feed-forward)"):
        build(run.cfg.study)(run)
