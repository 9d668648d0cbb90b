"""The ranks of a job are started, watched and ended by a process that none of it touches."""

import json
import os
import time
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from dori.app.launch import RankFailed, detached, launch, ranks_here
from dori.core.config import ROOT
from dori.core.errors import InputError
from tests import tiny

PLACES = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
DROPPED = ("RANK", "GROUP_RANK", "WORLD_SIZE", *PLACES)


@pytest.mark.parametrize(("overrides", "ranks"), [
    ([], 0), (["trainer.devices=2"], 2), (["trainer=ddp"], 1), (["trainer=ddp", "trainer.devices=3"], 3),
])  # fmt: skip
def test_a_trainer_says_how_many_ranks_it_wants(overrides: list[str], ranks: int) -> None:
    assert ranks_here(tiny.composed(*overrides, "trainer.accelerator=cpu")) == ranks


@pytest.mark.parametrize("overrides", [
    ["trainer=ddp", "trainer.accelerator=cuda", "trainer.devices=4096"], ["trainer.accelerator=nothing"],
    ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=0"],
    ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=-2"], ["trainer.devices=many"],
])  # fmt: skip
def test_devices_that_are_not_there_are_one_error(overrides: list[str]) -> None:
    words = {word.split("=")[0]: word for word in overrides}
    with pytest.raises(InputError, match="cannot be had: ") as error:
        ranks_here(tiny.composed(*overrides))
    assert all(words[key] in str(error.value) for key in words if key != "trainer")


def test_nodes_have_to_know_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tiny.composed("trainer=ddp", "trainer.accelerator=cpu", "trainer.num_nodes=2")
    for name in DROPPED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "a")
    with pytest.raises(InputError, match="num_nodes=2 needs NODE_RANK, MASTER_PORT in the environment"):
        ranks_here(cfg)
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setenv("NODE_RANK", "1")
    assert ranks_here(cfg) == 1


@pytest.fixture(autouse=True)
def ranks_that_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dori.app.launch.RANK", "tests.core.rank")
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # what a trainer with NODE_RANK=1 leaves behind
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in DROPPED:
        monkeypatch.setenv(name, "7")


def job(*plan: str) -> DictConfig:
    return OmegaConf.create({"plan": list(plan), "name": "${plan[0]}", "trainer": {}})


def gone(pid: int) -> bool:
    """It has ended; where nobody is left to reap it, it may stay behind as a zombie."""
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def ended(output: Path) -> bool:
    """Every process of the job is gone, with those that they started."""
    pids = [json.loads(path.read_text())["pid"] for path in output.glob("environment-*.json")]
    pids += [int((output / "child").read_text())] if (output / "child").exists() else []
    for _ in range(1000):
        if all(map(gone, pids)):
            return len(pids) > 0
        time.sleep(0.01)
    return False


def test_ranks_know_their_places_and_nothing_of_another_job(tmp_path: Path) -> None:
    before = dict(os.environ)
    launch(job("done", "done"), tmp_path, 2)
    assert dict(os.environ) == before
    assert (tmp_path / "rank-1.log").read_text() == "rank 1 speaks\n"
    for rank in (0, 1):
        environment = json.loads((tmp_path / f"environment-{rank}.json").read_text())
        assert environment["LOCAL_RANK"] == str(rank)
        assert not {*DROPPED} & {*environment}
    assert ended(tmp_path)


def test_another_process_gets_the_references_of_a_configuration_as_they_are() -> None:
    """Resolved, a part that is named twice would be two parts in the settings of its rows."""
    OmegaConf.register_new_resolver("hydra", lambda key: f"<{key}>", replace=True)
    cfg = OmegaConf.create(
        {"a": {"b": [{"c": "${hydra:runtime.output_dir}/x"}]}, "d": "${a}", "e": "${oc.env:HOME}", "f": None}
    )
    sent = json.loads(json.dumps(detached(cfg)))
    assert sent == {
        "a": {"b": [{"c": "<runtime.output_dir>/x"}]}, "d": "${a}", "e": "${oc.env:HOME}", "f": None,
    }  # fmt: skip
    assert OmegaConf.to_container(OmegaConf.create(sent), resolve=True) == OmegaConf.to_container(
        cfg, resolve=True
    )


def test_a_job_alone_in_its_process_is_no_rank(tmp_path: Path) -> None:
    launch(job("done"), tmp_path)
    assert "LOCAL_RANK" not in json.loads((tmp_path / "environment-None.json").read_text())
    with pytest.raises(RankFailed, match="the job's process failed: OSError: a reason"):
        launch(job("OSError"), tmp_path)


def test_nodes_keep_what_they_know_of_each_other(tmp_path: Path) -> None:
    cfg = job("done")
    cfg.trainer.num_nodes = 2
    launch(cfg, tmp_path, 1)
    environment = json.loads((tmp_path / "environment-0.json").read_text())
    assert [environment.get(name) for name in PLACES] == ["7", "7", "7"]
    assert not {*DROPPED} - {*PLACES} & {*environment}


def test_what_a_rank_finds_wrong_with_the_input_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^a reason$"):
        launch(job("told", "InputError"), tmp_path, 2)
    assert (tmp_path / "told").exists()
    assert ended(tmp_path)


def test_a_killed_rank_fails_the_job_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dori.app.launch.GRACE", 0.2)
    with pytest.raises(RankFailed, match=r"^rank 1 of 2 was killed \(SIGKILL\)$"):
        launch(job("stuck", "killed"), tmp_path, 2)
    assert ended(tmp_path)


def test_a_failing_rank_is_named_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(RankFailed, match=r"^rank 0 of 2 failed: ValueError: a reason$"):
        launch(job("ValueError", "told"), tmp_path, 2)
    assert ended(tmp_path)
