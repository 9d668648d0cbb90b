"""``seed`` is of every random number: each stochastic stage differs between seeds, and none at one seed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dori.core.config import CONF, build
from dori.core.fingerprints import digest
from dori.pruning import masks
from dori.steps.run import Run
from tests import tiny

WINDOW = ("kernel_size=3", "gaussian=false", "betas=[1.0]")  # that fits tiny latents
JOBS = {
    "wanda": ["pruning.ratio=0.2", "pruning.steps=4", "pruning.used=2", "attack/start=gaussian"],
    "nemo": ["pruning.seeds=3", *(f"model.noise_similarity.{word}" for word in WINDOW), "attack=none"],
    "saliency": ["pruning.like=null", "pruning.ratio=0.1", "pruning.pairs=2", "attack=none"],
}
QUICK = [pytest.param(job, marks=[] if job == "wanda" else pytest.mark.slow) for job in JOBS]
# no number is drawn, or none that a figure depends on
FIXED = ("measure: training images", "measure: held-out pictures", "statistics", "check: pretrained")


@pytest.fixture(scope="module")
def made(v_folder: Path, table: Path, ordinary: Path, measures: Path) -> Callable[..., dict[str, str]]:
    """``made(cache, "nemo", 1)``: what every stage of a job left, by its name, as a hash."""

    def go(cache: Path, job: str, seed: int) -> dict[str, str]:
        small = [] if "attack=none" in JOBS[job] else ["attack.steps=1", "attack.pairs=2"]
        given = tiny.study_overrides(v_folder, table, ordinary, measures, "pruning=none", "attack=none")
        words = [word for word in given if word not in ("pruning=none", "attack=none")]
        words += [f"pruning={job}", *JOBS[job], *small, f"seed={seed}", f"cache={cache}"]
        run = Run.configured(tiny.composed(*words))
        build(run.cfg.study)(run)
        found = {}
        for stage in run.stages.results:
            files = [path for path in stage.folder.iterdir() if path.name != "done.json"]
            # the file of a mask tells its seed; what counts is what it selects
            found[stage.name] = "".join(
                masks.digest(masks.load(path)) if stage.name.startswith("mask") else digest(path)
                for path in sorted(files)
            )
        return found

    return go


@pytest.mark.parametrize("job", QUICK)
def test_another_seed_is_another_draw_of_everything(
    made: Callable[..., dict[str, str]], tmp_path: Path, job: str
) -> None:
    zero, one, again = (made(tmp_path / name, job, seed) for name, seed in (("0", 0), ("1", 1), ("a", 0)))
    assert zero == again
    assert {name for name in zero if zero[name] == one[name]} == set(FIXED) & zero.keys()


def test_every_seed_of_the_configuration_follows_the_runs() -> None:
    seeds = {
        f"{path.relative_to(CONF)}: {line.strip()}"
        for path in CONF.rglob("*.yaml") for line in path.read_text().splitlines()
        if line.strip().startswith("seed:") and path.name != "config.yaml"
    }  # fmt: skip
    assert seeds
    assert all("${seed}" in line for line in seeds)
