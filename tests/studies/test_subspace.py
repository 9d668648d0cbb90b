"""The subspace study as a whole, on a tiny pipeline: masks of disjoint sets, swapped, told."""

from collections.abc import Callable
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
from dori.pruning import masks
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from tests import tiny

Result = tuple[Run, list[dict[str, Any]], pd.DataFrame]


@pytest.fixture(scope="module")
def go(v_folder: Path, table: Path, ordinary: Path, measures: Path) -> Callable[..., Run]:
    def run(cache: Path, *more: str) -> Run:
        words = ["study=subspace", "study.groups=2", "attack=none", f"cache={cache}"]
        given = tiny.study_overrides(v_folder, table, ordinary, measures, *words, "data.targets=all", *more)
        return Run.configured(tiny.composed(*given))

    return run


@pytest.fixture(scope="module")
def found(go: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Result:
    run = go(tmp_path_factory.mktemp("cache"))
    outcome = build(run.cfg.study)(run)
    return run, outcome.rows, outcome.images


def test_every_prompt_is_mitigated_by_every_mask(found: Result) -> None:
    _, rows, images = found
    settings = {row["setting"] for row in rows if row["kind"] == "verbatim"}
    assert settings == {"original", "random", "wanda_own_half", "wanda_other_half", "wanda_ordinary"}
    assert set(images.setting) == settings
    (other,) = [row for row in rows if (row["setting"], row["kind"]) == ("wanda_other_half", "verbatim")]
    assert {"MR_difference", "MR_over_random", "MR_over_wanda_ordinary"} <= set(other["metrics"])
    overlaps = [row for row in rows if row["kind"] == "masks"]
    assert len(overlaps) == 3
    for row in overlaps:
        assert row["metrics"]["IoU"]["n"] == 2
        assert 0 < row["metrics"]["IoU_chance"]["value"] < row["metrics"]["IoU"]["value"] <= 1


def test_halves_swap_their_masks_and_counts_are_equal(found: Result) -> None:
    run, *_ = found
    stages = {r.name.removeprefix("mask: "): r for r in run.stages.results}
    own, other, usual = (stages[f"wanda_{name}"] for name in ("own_half", "other_half", "ordinary"))
    for name, place in own.info["targets"].items():
        assert other.info["targets"][name] == 1 - place
    for place in (0, 1):
        pair = [masks.load(stage.folder / f"mask-0000{place}.safetensors") for stage in (own, usual)]
        opposite = masks.load(other.folder / f"mask-0000{1 - place}.safetensors")
        assert all(usual_part.sum() <= part.sum() for usual_part, part in zip(
            pair[1].values(), opposite.values(), strict=True
        ))  # fmt: skip
        assert all(torch.equal(pair[0][n], part) for n, part in masks.load(
            other.folder / f"mask-0000{place}.safetensors"
        ).items())  # fmt: skip


def test_the_job_shows_its_figure_and_its_verdict(
    found: Result, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, rows, images = found
    (finding,) = findings(rows)
    asked = [line[0] for line in finding.verdicts[0][1].figures.lines]
    assert "overlap above that of ordinary prompts" in asked
    run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    with Job(run, tmp_path, Course()) as job:
        job.finish(Outcome(rows, images))
    with Image.open(tmp_path / "subspace.png") as figure:
        assert figure.width > 600
    assert "Masks of disjoint sets of prompts" in (tmp_path / "report.html").read_text()
    assert "IoU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("pruning=none",), "there is no pruning"),
        (("data.targets=1",), "needs 4 memorized targets"),
        (("attack=dori", "attack.snapshots=[1,2]"), "takes one budget"),
        (
            ("defense=bos_attention", "pruning=wanda"),
            "study=subspace looks at pruning, not at defense=bos_attention",
        ),
    ],
)
def test_what_it_cannot_compare_is_refused(
    go: Callable[..., Run], tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    run = go(tmp_path, *more)
    with pytest.raises(InputError, match=message):
        build(run.cfg.study)(run)
