"""What schedulers leave in the environment: never a rank, and a job on several ranks is started once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dori.app.beside import COUNTED, check_started_once
from dori.core.config import ROOT
from dori.core.errors import InputError
from dori.core.ranks import meeting_point

SRUN = {"SLURM_STEP_ID": "0", "SLURM_JOB_ID": "7", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "sweep"}
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "GROUP_RANK": "0"}
MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "PMI_RANK": "1"}
LSF = {
    "LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/no/where", "JSM_NAMESPACE_RANK": "1",
    "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "2",
}  # fmt: skip
LOG = """
import sys
from dori.app.main import quiet
quiet()
import lightning
from lightning.pytorch.loggers import CSVLogger
from tests import tiny
from dori.core.config import build
trainer = build(tiny.composed("trainer.accelerator=cpu").trainer)()
assert trainer.is_global_zero and trainer.world_size == 1
logger = CSVLogger(sys.argv[1])
logger.log_metrics({"a": 1.0})
logger.save()
"""


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*COUNTED.values(), *(name for name in os.environ if name.startswith("SLURM_"))]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("left", [
    SRUN | {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NTASKS": "2"}, TORCHRUN | MPI | LSF,
])  # fmt: skip
def test_a_job_beside_others_logs_as_if_alone(left: dict[str, str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **left}
    done = subprocess.run(
        [sys.executable, "-c", LOG, str(tmp_path)], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize("variables", [
    SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1"},
    SRUN | {"SLURM_NTASKS": "4", "SLURM_NNODES": "2"}, SRUN | {"SLURM_NTASKS": "2"},
    {"LOCAL_WORLD_SIZE": "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, {"MPI_LOCALNRANKS": "2"},
    {"JSM_NAMESPACE_LOCAL_SIZE": "2"},
])  # fmt: skip
def test_ranks_started_from_outside_are_refused(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"started [248] processes on this node, .* starts its 2 ranks"):
        check_started_once(2)


@pytest.mark.parametrize("variables", [
    {}, {"SLURM_NTASKS": "2", "SLURM_NNODES": "1", "SLURM_PROCID": "0"},  # a batch script's
    SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS": "8"},
    SRUN | {"SLURM_NTASKS": "1", "SLURM_NNODES": "1"}, {"LOCAL_WORLD_SIZE": "1"},
])  # fmt: skip
def test_one_process_on_each_node_starts_its_ranks(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    check_started_once(2)


def test_the_nodes_of_a_slurm_job_meet_at_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NODEID": "1", "SLURM_NODELIST": "n[3-5],m1", "SLURM_JOB_ID": "98765"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS", "2")  # and no --ntasks-per-node, for which Lightning has an error
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    assert meeting_point() == ("n3", 23765)
    monkeypatch.setenv("MASTER_ADDR", "there")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert meeting_point() == ("there", 1)
