"""A whole sweep through the command: jobs share what they have in common, and are merged at the end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = [
    "data.targets=1", "data.ordinary=70", "model.images_per_prompt=2", "model.sampling_steps=2",
    "attack.steps=2",
]  # fmt: skip


def dori(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dori.app.main", f"cache={cwd}/cache", *SMALL, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=900)
    assert run.returncode == 0, run.stderr[-3000:]
    return run


@pytest.mark.slow
def test_a_sweep_merges_its_jobs_and_computes_nothing_twice(tmp_path):
    sweep = ("multirun_sweeps=pruning_ratio", "hydra.sweeper.params={pruning.ratio:'0.1,0.2'}")
    run = dori(*sweep, f"hydra.sweep.dir={tmp_path}/sweep", cwd=tmp_path)
    merged = json.loads((tmp_path / "sweep" / "rows.json").read_text())
    wanda = [row for row in merged if row["setting"] == "wanda+dori" and row["kind"] == "verbatim"]
    assert sorted(row["params"]["pruning.ratio"] for row in wanda) == [0.1, 0.2]
    assert len([row for row in merged if row["setting"] == "original" and row["kind"] == "verbatim"]) == 1
    assert (tmp_path / "sweep" / "sweep.png").exists() and (tmp_path / "sweep" / "report.html").exists()
    assert "0.2" in run.stdout
    # one original, one twin; a mask, a random mask and their images for each ratio
    assert len(list((tmp_path / "cache" / "mask").glob("*/done.json"))) == 4
    stages = json.loads((tmp_path / "sweep" / "1" / "timing.json").read_text())
    assert all(
        stage["cached"] for stage in stages if stage["name"] in ("images: original", "attack: dori on twin")
    )

    again = dori(*sweep, f"hydra.sweep.dir={tmp_path}/again", cwd=tmp_path)
    assert again.returncode == 0
    assert (tmp_path / "again" / "rows.json").read_bytes() == (tmp_path / "sweep" / "rows.json").read_bytes()
    for job in ("0", "1"):
        assert all(s["cached"] for s in json.loads((tmp_path / "again" / job / "timing.json").read_text()))


@pytest.mark.slow
def test_a_job_leaves_everything_that_the_readme_promises(tmp_path):
    dori("save_model=true", f"hydra.run.dir={tmp_path}/job", cwd=tmp_path)
    job = tmp_path / "job"
    names = {path.name for path in job.iterdir()}
    assert names >= {
        "rows.json", "images.parquet", "timing.json", "grid.png", "sscd.png", "report.html", "table.md",
        "triggers-wanda.safetensors", "triggers-twin.safetensors", "model",
    }  # fmt: skip
    load = "import sys; from diffusers import StableDiffusionPipeline as P; P.from_pretrained(sys.argv[1])"
    subprocess.run([sys.executable, "-c", load, str(job / "model")], check=True, timeout=120)
