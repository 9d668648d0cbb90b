"""Every launcher composes; ``process`` gives each job a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dori.core.config import CONF, ROOT


def launcher(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True).hydra.launcher


def test_the_launcher_without_a_word_is_hydras_own() -> None:
    assert launcher()._target_.endswith("BasicLauncher")
    assert launcher("hydra/launcher=process")._target_ == "hydra_plugins.dori_launcher.ProcessLauncher"


def test_slurm_gets_one_task_per_node() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    composed = launcher("hydra/launcher=slurm", "trainer=ddp", "trainer.num_nodes=3")
    found = OmegaConf.to_container(composed, resolve=False)
    assert found["_target_"] == "hydra_plugins.dori_submitit.Slurm"
    assert (found["tasks_per_node"], composed.nodes) == (1, 3)
    assert launcher("hydra/launcher=slurm").nodes == 1
    assert launcher("hydra/launcher=slurm", "name=a b").name == "dori-a-b"


@pytest.mark.parametrize(("overrides", "wanted"), [
    ([], 1), (["trainer.accelerator=cpu"], 0), (["trainer.devices=4"], 4), (["trainer.devices=[0,2]"], 2),
    (["trainer.devices='0,1,3'"], 3), (["trainer=ddp"], 1), (["trainer.devices=-1"], 1),
    (["trainer.devices=2", "trainer.accelerator=cpu"], 0), (["hydra.launcher.gpus_per_node=8"], 8),
])  # fmt: skip
def test_slurm_is_asked_for_the_gpus_that_the_trainer_wants(overrides: list[str], wanted: int) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    assert launcher("hydra/launcher=slurm", *overrides).gpus_per_node == wanted


def test_joblib_comes_with_its_extra() -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    assert launcher("hydra/launcher=joblib", "hydra.launcher.n_jobs=2").n_jobs == 2


APP = """
import sys
from hydra import main
@main(version_base="1.3", config_path=None, config_name=None)
def app(cfg):
    raise AssertionError("done by the sweep's own process")
import dori.app.launch as launching
launching.RANK = "tests.core.rank"
app()
"""


def test_each_job_has_its_process_and_a_failed_one_does_not_end_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    target = "hydra.launcher._target_=hydra_plugins.dori_launcher.ProcessLauncher"
    words = ["-m", target, f"hydra.sweep.dir={tmp_path}", "+plan=[OSError],[done]", "+trainer={}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "app.py", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "the job's process failed: OSError: a reason" in done.stderr
    assert [(tmp_path / job / "environment-None.json").exists() for job in ("0", "1")] == [True, True]
