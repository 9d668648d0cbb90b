"""``experiments=paper_sd14``: the papers' settings, on a tiny model and lists of the published layout."""

from pathlib import Path

import pytest

from dori.app.findings import findings
from dori.app.line import CommandLine
from dori.app.main import configured
from dori.core.config import build
from dori.core.errors import InputError
from tests import tiny
from tests.data.host import jpeg
from tests.data.test_published import write_list

SOME = ["scale.wanda_ratio=0.02"]  # of 64 columns, one


@pytest.fixture
def words(epsilon_folder: Path, ordinary: Path, measures: Path, tmp_path: Path) -> list[str]:
    """The smallest size, of two verbatim and two template rows, four controls, sixteen captions."""
    for label in ("memorized", "controls"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(4):
            picture = jpeg(10 * (label == "controls") + i)
            (tmp_path / "images" / label / f"{i:04d}_x.jpg").write_bytes(picture)
    captions = tmp_path / "captions.csv"
    captions.write_text(";Caption\n" + "".join(f"{i};a caption {i}\n" for i in range(20)))
    settings = tiny.study_overrides(epsilon_folder, tmp_path, ordinary, measures)
    left = ("model=", "data.", "model.images", "pruning.", "attack.steps")
    own = [word for word in settings if not word.startswith(left)]
    return [
        "experiments=paper_sd14", "scale.size=smoke", *own, "model.truncate_prompts=true",
        f"cache={tmp_path}/cache",
        f"data.memorized.table={write_list(tmp_path / 'memorized.csv', 'VTVT')}",
        f"data.controls.table={write_list(tmp_path / 'controls.csv', None)}",
        f"data.ordinary.table={captions}", f"data.images={tmp_path}/images", f"data.training={ordinary}",
    ]  # fmt: skip


def test_every_method_of_the_paper_has_a_job_and_takes_its_published_settings(words: list[str]) -> None:
    line = CommandLine.read([*words, *SOME])
    told = [{w.split("=")[1] for w in job if w.startswith(("pruning=", "defense="))} for job in line.jobs]
    assert told == [
        {"none"}, {"none", "esd"}, {"none", "concept_ablation"}, {"none", "siss"}, {"none", "adversarial"},
        {"nemo", "none"}, {"wanda", "none"}, {"wanda_10x", "none"},
    ]  # fmt: skip
    for job in line.jobs:
        with line.job(job) as cfg:
            assert cfg.scale.learning_rate == 1e-5 and cfg.attack.optimizer.lr == 0.1
            # the eight pictures here are too few to train on, the latents too small for NeMo's similarity
            if "defense=none" in job and "pruning=nemo" not in job:
                run = configured(cfg)
                assert len(run.data.targets) == 6 and len(run.data.ordinary.captions) == 16
    with line.job(line.jobs[6]) as cfg:
        assert (cfg.pruning.ratio, cfg.pruning.scheduler, cfg.pruning.base) == (0.02, "published", "empty")


def test_a_published_checkpoint_takes_the_place_of_all_of_them(
    words: list[str], epsilon_folder: Path
) -> None:
    line = CommandLine.read([*words, "defense=weights", f"defense.path={epsilon_folder}/unet"])
    assert [[w for w in job if w.startswith("pruning=")] for job in line.jobs] == [["pruning=none"]]


def test_a_pruning_with_a_defense_is_no_job_of_it(words: list[str]) -> None:
    line = CommandLine.read([*words, "pruning=wanda", "defense=esd"])
    with pytest.raises(InputError, match="no job is left: each has several of pruning, defense"):
        _ = line.jobs


@pytest.mark.slow
def test_a_job_of_it_stands_beside_the_paper_s_numbers(words: list[str]) -> None:
    line = CommandLine.read([*words, "attack.steps=2", "attack.snapshots=[1,2]", *SOME])
    with line.job(next(job for job in line.jobs if "pruning=wanda" in job)) as cfg:
        run = configured(cfg)
        rows = build(cfg.study)(run).rows
    for row in rows:
        row["model"] = "sd14"
    (beside,) = [finding for finding in findings(rows) if finding.title.startswith("Beside the papers'")]
    settings = {(line[0], line[2]) for line in beside.tables[0].lines}
    assert settings == {("original", "SSCD_Orig"), ("original", "MR")}  # at this ratio no paper has another


def test_a_size_that_there_is_not_is_one_sentence(words: list[str]) -> None:
    line = CommandLine.read([*words, "scale.size=tiny"])
    with pytest.raises(Exception, match=r"scale\.sizes\.tiny"), line.job(line.jobs[0]) as cfg:
        configured(cfg)
