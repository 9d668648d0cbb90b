"""Each family through the whole main job, and through an adversarial training, as small as they can be."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from dori.core.config import build
from dori.steps.run import Run
from tests import tiny
from tests.diffusion.pipelines import T5_TOKENS, saved

Job = Callable[..., list[dict]]
SETTINGS = [
    f"model.text_tokens={T5_TOKENS}", "model.size=[32,24]", "model.noise_similarity.gaussian=false",
    "model.noise_similarity.kernel_size=3", "model.noise_similarity.betas=[1.0]",
]  # fmt: skip
TRAINING = [
    "pruning=none", "defense=adversarial", "defense.epochs=1", "defense.batch=2", "defense.attack.steps=1",
    "defense.attack.pairs=1", "defense.validation.attack=null", "defense.validation.ordinary=2",
    "defense.surrogates.images=1", "defense.surrogates.pruning.ratio=0.1",
    "defense.surrogates.pruning.steps=4",
    "defense.surrogates.pruning.used=2", "defense.surrogates.threshold=0.9999",
    "evaluation.threshold=0.99999",
    "defense.terms.ordinary.batch=2", "defense.terms.surrogates.pairs=1",
]  # fmt: skip

PRUNINGS = {
    "none": [], "random": [], "magnitude": [],
    "saliency": ["pruning.pairs=1", "pruning.ordinary=2"],
    "nemo": ["pruning.seeds=2", "pruning.k_max=2", "pruning.theta_min=4.5"],
}  # fmt: skip
SMALL = ["steps=4", "used=2", "ratio=0.1"]  # Wanda's
LOCALITY = [
    "study=locality", "pruning=none", "attack.restarts=2", "data.targets=all", "study.others=2",
    "study.cuts=[1]", "study.paths=1", "study.between=[0.5]", "study.perplexity=3", "study.block=4",
    "study.methods.nemo.seeds=2", "study.methods.nemo.theta_step=2.0", "study.methods.nemo.threshold=0.9",
    "study.saliency.pairs=1", "study.saliency.ordinary=2", "study.saliency.batch=8",
    *(f"study.methods.wanda.{word}" for word in SMALL), "evaluation.threshold=0.01",
]  # fmt: skip


@pytest.fixture(scope="module")
def job(table: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    def go(family: str, *more: str) -> list[dict]:
        folder = tmp_path_factory.mktemp("family")
        model = saved(family, folder / "pipeline")
        # Wanda's settings are for no other
        own = ["pruning=none"] if any(word.startswith("pruning=") for word in more) else []
        words = tiny.study_overrides(
            model, table, ordinary, measures, f"cache={folder}/cache", *SETTINGS, *own
        )
        run = Run.configured(tiny.composed(*(word for word in words if word not in own), *more))
        return build(run.cfg.study)(run).rows

    return go


@pytest.mark.parametrize("family", ["xl", "sd3", "sd3 without T5", "flux", "flux schnell", "pixart"])
def test_the_main_job(job: Job, family: str) -> None:
    rows = job(family)
    assert {row["setting"] for row in rows} == {"original", "random", "wanda", "wanda+dori"}
    attacked = [row["metrics"] for row in rows if row["setting"] == "wanda+dori"]
    named = ("",) if family == "pixart" else ("", "_sequence", "_pooled")  # which has no pooled vector
    for metrics in attacked:
        parts = [metrics[f"Displacement{part}"]["value"] for part in named]
        assert all(0 < part < math.inf for part in parts)


def test_what_is_not_to_move_does_not(job: Job) -> None:
    rows = job("xl", "attack.rows=pooled")
    (metrics, *_) = (row["metrics"] for row in rows if row["setting"] == "wanda+dori")
    assert metrics["Displacement_sequence"]["value"] == 0 < metrics["Displacement_pooled"]["value"]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xl", "sd3", "flux", "pixart"])
def test_every_pruning_of_table1(job: Job, family: str, tmp_path: Path) -> None:
    for pruning, own in PRUNINGS.items():
        like = [] if pruning in ("none", "nemo") else [f"pruning.like.{word}" for word in SMALL]
        more = ["study.baseline=false", "study.attack_original=true", f"cache={tmp_path}"]
        rows = job(family, *more, f"pruning={pruning}", *own, *like)
        drawn = {"original"} if pruning == "none" else {"original", pruning}
        assert {row["setting"] for row in rows} == drawn | {f"{setting}+dori" for setting in drawn}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xl", "sd3", "flux", "pixart"])
def test_locality(job: Job, family: str, tmp_path: Path) -> None:
    table = tiny.build_table(tmp_path, ("verbatim",) * 5 + ("unseen",))
    rows = job(family, *LOCALITY, f"data.path={table}")
    kinds = {row["kind"] for row in rows}
    assert kinds >= {"embeddings", "activations", "weights", "criteria", "cuts"}
    for row in rows:
        if row["kind"] == "weights" and row["setting"].endswith("one image"):
            assert row["metrics"]["IoU_with_empty"]["n"] == 5, row["setting"]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xl", "sd3", "flux", "pixart"])
def test_an_adversarial_training(job: Job, family: str, tmp_path: Path) -> None:
    for i in range(6):
        tiny.Image.fromarray(tiny.picture(200 + i)).save(tmp_path / f"{i}.png")
    pairs = {"caption": tiny.prompts(6, 30), "image": [f"{i}.png" for i in range(6)]}
    pd.DataFrame(pairs).to_csv(tmp_path / "training.csv", index=False)
    rows = job(family, *TRAINING, f"data.training={tmp_path / 'training.csv'}")
    assert {row["setting"] for row in rows} >= {"original", "adversarial", "adversarial+dori"}
