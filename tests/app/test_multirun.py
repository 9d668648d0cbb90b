"""The end of a multirun, on folders as Hydra leaves them, and through Hydra itself."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from dori.app.jobs import problems, write_failure, write_jobs
from dori.app.multirun import MergeRows, merge_folder, training_minutes
from dori.app.verbs.merging import command as merge_command
from dori.core.config import ROOT
from dori.core.errors import InputError
from dori.results.reading.rows import read_rows, write_rows

RATIOS = (0.02, 0.05, 0.1)


@pytest.fixture
def sweep(tmp_path, make_rows):
    for index, ratio in enumerate(RATIOS):
        job = tmp_path / "sweep" / str(index)
        (job / ".hydra").mkdir(parents=True)
        (job / ".hydra" / "overrides.yaml").write_text(f"- pruning.ratio={ratio}\n")
        write_rows(job / "rows.json", make_rows(ratio=ratio))
    return tmp_path / "sweep"


def hydra_config(folder, job=0, mode=RunMode.MULTIRUN):
    runtime = {"output_dir": str(folder / str(job))}
    return OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}, "runtime": runtime, "mode": mode}})


def test_rows_are_merged_in_order_and_shown(sweep, capsys):
    MergeRows().on_multirun_end(hydra_config(sweep))
    merged = read_rows(sweep / "rows.json")
    attacked = [r for r in merged if (r["setting"], r["kind"]) == ("wanda+dori", "verbatim")]
    assert [row["params"]["ratio"] for row in attacked] == list(RATIOS)
    assert (sweep / "sweep.png").is_file() and (sweep / "report.html").is_file()
    out = capsys.readouterr().out
    assert "3 of 3 jobs merged" in out and "0.69 [0.55, 0.80]" in out


def test_merging_again_gives_the_same_bytes(sweep):
    merge_folder(sweep)
    first = {name: (sweep / name).read_bytes() for name in ("rows.json", "sweep.png", "report.html")}
    merge_folder(sweep)
    assert first == {name: (sweep / name).read_bytes() for name in first}


def test_a_failed_and_a_missing_job_are_told(sweep, capsys):
    callback = MergeRows(x="ratio")
    failed = JobReturn(status=JobStatus.FAILED)
    failed.return_value = RuntimeError("no room left")
    (sweep / "2" / "rows.json").unlink()
    callback.on_job_end(hydra_config(sweep, 1), failed)
    told = capsys.readouterr()
    assert "RuntimeError: no room left" in told.err and "job 1 failed: no room left" in told.err
    assert not (sweep / "rows.json").exists()  # the driver merges, and last

    callback.on_multirun_end(hydra_config(sweep))
    told = capsys.readouterr()
    assert "job 1 (pruning.ratio=0.05) failed: RuntimeError: no room left" in told.err
    assert "job 2 (pruning.ratio=0.1) is not finished" in told.err
    assert "1 of 3 jobs merged" in told.out
    report = (sweep / "report.html").read_text()
    for words in ("no room left", "incomplete", f"hydra.sweep.dir={sweep} to complete it"):
        assert words in report


def test_what_a_driver_that_is_gone_left_is_merged_afterwards(sweep, capsys, monkeypatch):
    logged = []
    monkeypatch.setattr("dori.app.tracking.log_sweep", lambda rows, *_: logged.append(len(rows)))
    (sweep / "multirun.yaml").write_text("logger: {_target_: x.WandbLogger}\nname: a\n")
    words = [[f"pruning.ratio={ratio}", "data.targets=1", "hydra.verbose=false"] for ratio in (*RATIOS, 0.2)]
    write_jobs(sweep, words)
    for job, overrides in enumerate(words[:3]):
        (sweep / str(job) / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    assert merge_command([str(sweep)]) == 1
    told = capsys.readouterr()
    assert "multirun: job (pruning.ratio=0.2) did not begin" in told.err
    assert "3 of 4 jobs merged" in told.out and f"hydra.sweep.dir={sweep}" in told.out
    assert logged == [len(read_rows(sweep / "rows.json"))]

    write_jobs(sweep, words[:3])
    assert merge_command([str(sweep)]) == 0
    assert "incomplete" not in (sweep / "report.html").read_text()


def test_a_job_that_was_killed_before_it_began_is_told_by_who_queued_it(sweep):
    write_jobs(sweep, [*([f"pruning.ratio={ratio}"] for ratio in RATIOS), ["pruning.ratio=0.2"]])
    write_failure(sweep / "3", "CANCELLED")
    assert problems(sweep) == ["job 3 (pruning.ratio=0.2) failed: CANCELLED"]


@pytest.mark.parametrize("folders", [[], ["no/where"], ["a", "b"]])
def test_a_folder_to_merge_has_jobs(folders, tmp_path):
    with pytest.raises(InputError, match=r"hydra\.sweep\.dir"):
        merge_command([str(tmp_path / folder) for folder in folders])


def test_a_job_that_succeeds_later_is_no_longer_failed(sweep):
    (sweep / "1" / "failed.json").write_text(json.dumps({"error": "old"}))
    MergeRows().on_job_end(hydra_config(sweep, 1), JobReturn(status=JobStatus.COMPLETED))
    assert not (sweep / "1" / "failed.json").exists()


def test_a_single_run_is_left_alone(sweep):
    callback = MergeRows()
    failed = JobReturn(status=JobStatus.FAILED)
    failed.return_value = RuntimeError("x")
    callback.on_job_end(hydra_config(sweep, 1, mode=RunMode.RUN), failed)
    assert not (sweep / "rows.json").exists()


def test_nothing_to_merge_is_said(tmp_path, capsys):
    assert merge_folder(tmp_path) == []
    assert "no job below" in capsys.readouterr().err


def test_disagreeing_jobs_are_refused_and_explained(sweep, make_rows, capsys):
    other = make_rows(ratio=RATIOS[0])
    other[0]["metrics"]["MR"]["value"] = 0.5
    write_rows(sweep / "1" / "rows.json", other)
    with pytest.raises(InputError, match="metrics differ"):
        merge_folder(sweep)
    with pytest.raises(SystemExit) as ended:
        MergeRows().on_multirun_end(hydra_config(sweep))
    assert ended.value.code == 2 and "metrics differ" in capsys.readouterr().err


APP = """
import json, os, pathlib, hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    if cfg.ratio == 0.1:
        raise RuntimeError("no room left")
    if cfg.ratio == 0.2:
        os.kill(os.getpid(), 9)
    rows = json.loads(pathlib.Path("rows.json").read_text())
    for row in rows:
        row["params"]["ratio"] = cfg.ratio
    out = pathlib.Path(HydraConfig.get().runtime.output_dir)
    (out / "rows.json").write_text(json.dumps(rows))

import dori.app.main
dori.app.main.configured = lambda cfg: None  # these are no jobs of dori's
main()
"""
LOCAL = "hydra.launcher._target_=hydra_plugins.dori_submitit.Local"
SLURM = ("hydra.launcher._target_=hydra_plugins.dori_submitit.Slurm", "hydra.launcher.name=dori-test")
NO_CLUSTER = shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0
CLUSTER = (pytest.mark.slow, pytest.mark.skipif(NO_CLUSTER, reason="no SLURM to be asked"))


@pytest.mark.parametrize(("ratios", "launcher"), [
    ("0.1,0.02,0.05", ["hydra.sweeper.max_batch_size=1"]),
    ("0.1,0.02,0.05", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"]),
    ("0.2,0.1,0.02,0.05", ["hydra/launcher=submitit_local", LOCAL]),
    pytest.param("0.2,0.1,0.02,0.05", ["hydra/launcher=submitit_slurm", *SLURM], marks=CLUSTER),
])  # fmt: skip
def test_the_driver_merges_whatever_happens(ratios, launcher, tmp_path, rows):
    if len(launcher) > 1:
        pytest.importorskip(f"hydra_plugins.hydra_{launcher[0].split('=')[1].split('_')[0]}_launcher")
    write_rows(tmp_path / "rows.json", rows)
    (tmp_path / "app.py").write_text(APP)
    command = [
        sys.executable, "app.py", "-m", f"+ratio={ratios}", "hydra.sweep.dir=sweep", *launcher,
        "hydra.sweeper._target_=hydra_plugins.dori_sweeper.DoriSweeper",
        "+hydra.callbacks.merge._target_=dori.app.multirun.MergeRows",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    count = len(ratios.split(","))
    assert result.returncode == 1
    assert f"2 of {count} jobs merged" in result.stdout, result.stdout + result.stderr
    assert "start again with hydra.sweep.dir=sweep to complete it" in result.stdout
    assert f"job {count - 3} (ratio=0.1) failed: RuntimeError: no room left" in result.stderr.replace("+", "")
    assert result.stderr.count("Traceback") <= 1  # where the job ran, and once
    assert len(read_rows(tmp_path / "sweep" / "rows.json")) == 2 * len(rows)
    if count == 4:
        assert re.search(r"job 0 \(\+ratio=0.2\) failed: [A-Z_]+, without a word of its own", result.stderr)


def test_the_minutes_of_a_training_are_the_same_where_it_came_from_the_cache(tmp_path):
    stages = [
        {"name": "images: original", "seconds": 3.0},
        {"name": "training: esd", "training_seconds": 90.0},
    ]
    for job, seconds in enumerate((91.0, 0.1)):
        (tmp_path / str(job)).mkdir()
        stages[1]["seconds"] = seconds
        (tmp_path / str(job) / "timing.json").write_text(json.dumps(stages))
    assert training_minutes([tmp_path / "0", tmp_path / "1", tmp_path / "none"]) == {"esd": 1.5}
