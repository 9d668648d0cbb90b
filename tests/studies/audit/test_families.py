"""The whole audit on a tiny random pipeline of every family, with another one as its base."""

import json
from pathlib import Path

import jsonschema
import pytest
import torch

from dori.core.config import build
from dori.steps.run import Run
from tests import tiny
from tests.diffusion.pipelines import FAMILIES, T5_TOKENS, saved
from tests.studies.audit.test_audit import SCHEMA, place

pytestmark = pytest.mark.slow
WORDS = [
    "experiments=audit", "model.dtype=float32", "model.sampling_steps=2", "model.batch=8",
    "model.size=[32,24]", f"model.text_tokens={T5_TOKENS}", "evaluation/descriptor=minnow",
    "evaluation.resolution=64", "study.seeds=1", "study.others=1", "study.rewordings=1", "study.elicit=1",
    "study.controls=8", "study.controls_attacked=1", "study.balls=[0.4]", "study.images=1",
    "attack.steps=1", "attack.pairs=1", "attack.batch=2", "trainer.accelerator=cpu",
]  # fmt: skip


@pytest.mark.parametrize("family", ["xl", "sd3", "sd3 without T5", "flux", "flux schnell", "pixart"])
def test_every_step_of_the_audit(family: str, tmp_path: Path) -> None:
    model = saved(family, tmp_path / "model")
    torch.manual_seed(1)
    FAMILIES[family]().save_pretrained(tmp_path / "base", safe_serialization=True)
    folders = [place(tmp_path / "training", range(4)), place(tmp_path / "heldout", range(20, 28))]
    own = [
        f"model.path={model}", f"model.base={tmp_path}/base", f"data.path={folders[0]}",
        f"data.heldout={folders[1]}", f"cache={tmp_path}/cache",
    ]  # fmt: skip
    run = Run.configured(tiny.composed(*WORDS, *own))
    outcome = build(run.cfg.study)(run)
    told = outcome.pages.told
    jsonschema.validate(json.loads(json.dumps(told)), SCHEMA)
    assert [route["name"] for route in told["routes"]] == ["caption", "prompt", "guidance", "ball 0.4"]
    assert set(told["screening"]) == {"magnitude", "loss_gap"}
    assert [row["setting"] for row in outcome.rows] == ["original", "base"]
