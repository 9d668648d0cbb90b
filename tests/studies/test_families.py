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


@pytest.fixture(scope="module")
def job(table: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    def go(family: str, *more: str) -> list[dict]:
        folder = tmp_path_factory.mktemp("family")
        model = saved(family, folder / "pipeline")
        words = tiny.study_overrides(
            model, table, ordinary, measures, f"cache={folder}/cache", *SETTINGS, *more
        )
        run = Run.configured(tiny.composed(*words))
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
def test_an_adversarial_training(job: Job, family: str, tmp_path: Path) -> None:
    for i in range(6):
        tiny.Image.fromarray(tiny.picture(200 + i)).save(tmp_path / f"{i}.png")
    pairs = {"caption": tiny.prompts(6, 30), "image": [f"{i}.png" for i in range(6)]}
    pd.DataFrame(pairs).to_csv(tmp_path / "training.csv", index=False)
    rows = job(family, *TRAINING, f"data.training={tmp_path / 'training.csv'}")
    assert {row["setting"] for row in rows} >= {"original", "adversarial", "adversarial+dori"}
