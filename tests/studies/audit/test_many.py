"""Thousands of pictures are looked at one after the other: the memory is that of the networks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNT, SIDE = 2000, 512  # all of them decoded are 1.6 GB
MOST = 2 * 10**9


def write(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(folder / f"{i:04d}.jpg")


@pytest.mark.slow
def test_two_thousand_pictures_take_less_than_two_gigabytes(v_folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "training")
    words = [
        "experiments=audit", f"model.path={v_folder}", "model.dtype=float32", "model.sampling_steps=1",
        "model.batch=64", "evaluation/descriptor=minnow", "evaluation.resolution=64",
        f"data.path={tmp_path}/training", "data.caption=a red boat on a lake", "study.seeds=1",
        "study.others=1", "study.rewordings=0", "study.elicit=0", "study.guidance=null",
        f"cache={tmp_path}/cache", f"hydra.run.dir={tmp_path}/out", "trainer.accelerator=cpu",
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen([sys.executable, "-m", "dori", *words], stdout=log, stderr=log)
        _, status, used = os.wait4(job.pid, 0)  # of this process alone
    job.returncode = os.waitstatus_to_exitcode(status)
    assert job.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    assert 1024 * used.ru_maxrss < MOST
    assert f'"n": {COUNT}' in (tmp_path / "out/rows.json").read_text()
