"""Ctrl-C within a stage of a job: one sentence that says how to go on, and exit 130."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dori.core.config import ROOT

SMALL = [
    "data.targets=1", "data.ordinary=0", "model.sampling_steps=1", "model.images_per_prompt=1", "attack=none",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", ["wanda", "nemo"])
def test_ctrl_c_while_a_mask_is_made(method: str, tmp_path: Path) -> None:
    log = tmp_path / "job" / "dori.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "dori", *SMALL, f"pruning={method}", f"cache={tmp_path}/cache",
         f"hydra.run.dir={log.parent}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (log.exists() and f"mask: {method}: begun" in log.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    said = f"dori: stopped by Ctrl-C; start again to go on; finished stages are kept in {tmp_path}/cache"
    assert err.splitlines()[-1] == said
    assert "Traceback" not in err
    assert f"mask: {method}: done" not in log.read_text()
