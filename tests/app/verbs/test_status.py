"""``dori status``: what becomes of each job, told from what lies in the folder."""

import json
import time

import pytest

from dori.app.heartbeat import PROGRESS
from dori.app.jobs import write_failure, write_jobs
from dori.app.verbs.status import command
from dori.core.errors import InputError


@pytest.fixture
def multirun(tmp_path):
    """Four jobs that began, and one that waits."""
    write_jobs(tmp_path, [["pruning=wanda", f"seed={seed}"] for seed in range(5)])
    for seed in range(4):
        (tmp_path / str(seed) / ".hydra").mkdir(parents=True)
        (tmp_path / str(seed) / ".hydra" / "overrides.yaml").write_text(f"- pruning=wanda\n- seed={seed}\n")
    (tmp_path / "0" / "rows.json").write_text("[]")
    write_failure(tmp_path / "1", "InputError: no such file")
    told = {"stage": "attack: dori on wanda", "said": "40%, about 25 min left", "ended": False}
    (tmp_path / "2" / PROGRESS).write_text(json.dumps({**told, "at": time.time() - 20}))
    (tmp_path / "3" / PROGRESS).write_text(json.dumps({**told, "at": time.time() - 7200}))
    return tmp_path


def test_each_job_is_told_by_what_sets_it_apart(multirun, capsys):
    assert command([str(multirun)]) == 1
    lines = capsys.readouterr().out.splitlines()
    said = {line.split()[-1] if "waiting" in line else line.split()[0]: line for line in lines}
    assert "done" in said["0"] and "seed=0" in said["0"] and "pruning" not in said["0"]
    assert "failed" in said["1"] and "no such file" in " ".join(lines)
    assert "running" in said["2"] and "25 min left" in " ".join(lines)
    assert "gone" in said["3"]
    assert lines[-1] == "1 done, 1 failed, 1 running, 1 gone, 1 waiting"


def test_a_folder_without_jobs_is_refused(tmp_path):
    with pytest.raises(InputError, match="there are no jobs in"):
        command([str(tmp_path)])
