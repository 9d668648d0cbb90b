"""The end of a multirun, on folders as Hydra leaves them, and through Hydra itself."""

import json
import subprocess
import sys
import textwrap

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from dori.errors import InputError
from dori.results.multirun import MergeRows, merge_folder, training_minutes
from dori.results.rows import read_rows, write_rows

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
    assert "job 1 (pruning.ratio=0.05) failed: RuntimeError: no room left" in told.err
    assert "job 2 (pruning.ratio=0.1) left no rows.json" in told.err
    assert "1 of 3 jobs merged" in told.out
    assert "no room left" in (sweep / "report.html").read_text()


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


def test_disagreeing_jobs_are_refused_and_explained(sweep, make_rows, caplog):
    other = make_rows(ratio=RATIOS[0])
    other[0]["metrics"]["MR"]["value"] = 0.5
    write_rows(sweep / "1" / "rows.json", other)
    with pytest.raises(InputError, match="metrics differ"):
        merge_folder(sweep)
    MergeRows().on_multirun_end(hydra_config(sweep))
    assert "metrics differ" in caplog.text


def test_hydra_calls_it_even_where_a_job_fails(tmp_path, rows):
    write_rows(tmp_path / "rows.json", rows)
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
        import json, pathlib, hydra
        from hydra.core.hydra_config import HydraConfig

        @hydra.main(version_base="1.3", config_path=None)
        def main(cfg):
            if cfg.ratio == 0.1:
                raise RuntimeError("no room left")
            rows = json.loads(pathlib.Path(__file__).with_name("rows.json").read_text())
            for row in rows:
                row["params"]["ratio"] = cfg.ratio
            out = pathlib.Path(HydraConfig.get().runtime.output_dir)
            (out / "rows.json").write_text(json.dumps(rows))

        main()
        """)
    )
    command = [
        sys.executable, "app.py", "-m", "+ratio=0.1,0.02,0.05", "hydra.sweep.dir=sweep",
        "+hydra.callbacks.merge._target_=dori.results.multirun.MergeRows",
    ]  # fmt: skip
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1 and "no room left" in result.stderr
    assert "2 of 3 jobs merged" in result.stdout, result.stdout + result.stderr
    assert len(read_rows(tmp_path / "sweep" / "rows.json")) == 2 * len(rows)


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
