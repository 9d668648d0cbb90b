"""Told to end, a process ends: at once, with 128 + the signal, a sentence, and no traceback."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dori.core.config import ROOT
from dori.core.stopping import Stopped

BEGIN = """
import sys, time
from pathlib import Path
from dori.core.stopping import *
import dori.core.stopping as stopping
ready, ended = Path(sys.argv[1]) / "ready", Path(sys.argv[1]) / "ended"
"""
BUSY = {
    "sleeping": """
@stoppable
def main():
    try:
        ready.touch()
        time.sleep(1000)
    finally:
        ended.touch()
""",
    "threads": """
from dori.core.predict import side_by_side
import torch
torch.set_num_threads(2)
def chunk(_):
    ready.touch()
    time.sleep(1000)
@stoppable
def main():
    try:
        side_by_side(chunk, [1, 2, 3], 2)
    finally:
        ended.touch()
""",
    "lightning": """
from functools import partial
import torch
from dori.core.config import build
from dori.core.predict import Predictor
from tests import tiny
def chunk(_):
    ready.touch()
    while True:
        torch.ones(1) + 1
torch.set_num_threads(1)
@stoppable
def main():
    try:
        cfg = tiny.composed("trainer.accelerator=cpu").trainer
        Predictor(build(cfg), "a stage").run([torch.nn.Linear(1, 1)], chunk, [1])
    finally:
        ended.touch()
""",
    "keeping": """
@stoppable
def main():
    with keeping():
        ready.touch()
        while not told():
            time.sleep(0.01)
        ended.touch()
""",
    "deaf": """
stopping.GRACE = 0.3
@stoppable
def main():
    ended.touch()
    while True:
        try:
            ready.touch()
            time.sleep(1000)
        except BaseException:
            pass
""",
}


def start(code: str, folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}{code}", str(folder)], env=environment, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (folder / "ready").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", BUSY)
def test_it_ends_at_once_and_says_so(busy: str, number: int, tmp_path: Path) -> None:
    if number == signal.SIGINT and busy == "lightning":
        pytest.skip("Lightning takes SIGTERM alone; the test takes seconds")
    process = start(f"{BUSY[busy]}\nmain()", tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    by = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert err.splitlines()[-1] == f"dori: stopped by {by}; start again to go on"
    assert (tmp_path / "ended").exists()


def test_a_launcher_queues_the_job_again_when_all_is_kept(tmp_path: Path) -> None:
    """As submitit does at SIGUSR2; until then nothing has been kept, so that the job would begin anew."""
    code = """
def requeue(number, frame):
    (ready.parent / f"queued-{ended.exists()}").touch()
    sys.exit(7)
signal.signal(signal.SIGUSR2, requeue)
@stoppable
def main():
    listen()
    try:
        with keeping():
            ready.touch()
            while not told():
                time.sleep(0.01)
            ended.touch()
    except Stopped as stopped:
        pass_on(stopped)
main()
"""
    process = start(code, tmp_path)
    process.send_signal(signal.SIGUSR2)
    assert process.wait(timeout=15) == 7
    assert (tmp_path / "queued-True").exists()


def test_a_second_sigterm_does_not_disturb_the_end(tmp_path: Path) -> None:
    code = """
@stoppable
def main():
    try:
        ready.touch()
        time.sleep(1000)
    finally:
        stopping.signal.raise_signal(15)
        ended.touch()
main()
"""
    process = start(code, tmp_path)
    process.terminate()
    assert process.wait(timeout=15) == 143
    assert (tmp_path / "ended").exists()


def test_what_a_shell_says_of_the_background_holds(tmp_path: Path) -> None:
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{BUSY['sleeping']}\nmain()"
    process = start(code, tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=15) == 143


def test_it_travels_between_processes() -> None:
    """As what a worker of joblib's ends with."""
    stopped = Stopped(143)
    stopped.add_note("finished stages are kept in x")
    again = pickle.loads(pickle.dumps(stopped))
    assert (again.code, str(again)) == (143, str(stopped))


def test_a_worker_ends_with_its_driver(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    code = """
import os, joblib
def work(number):
    from dori.core.stopping import end_with_parent
    end_with_parent()
    (ready.parent / str(os.getpid())).touch()
    time.sleep(1 if number else 1000)
def beat():
    while len(list(ready.parent.glob("[0-9]*"))) < 2:
        time.sleep(0.01)
    ready.touch()
import threading
threading.Thread(target=beat, daemon=True).start()
joblib.Parallel(2)(joblib.delayed(work)(n) for n in (0, 0))
"""
    process = start(code, tmp_path)
    pids = [int(path.name) for path in tmp_path.glob("[0-9]*")]
    process.kill()
    process.communicate()
    until = time.monotonic() + 15
    while (alive := [pid for pid in pids if running(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(pids) == 2 and not alive


def running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_workers_are_told_before_they_are_killed(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    code = """
import joblib
def work(folder):
    import os, time
    from dori.core.stopping import Stopped, listen
    listen()
    try:
        (folder / "ready").touch()
        time.sleep(1000)
    except Stopped:
        (folder / "ended").touch()
        time.sleep(2)  # as soon as one is gone, joblib kills the others
        os._exit(1)
@stoppable
def main():
    joblib.Parallel(2)(joblib.delayed(work)(folder) for folder in [ready.parent, ready.parent / "b"])
(ready.parent / "b").mkdir()
main()
"""
    process = start(code, tmp_path)
    while not (tmp_path / "b" / "ready").exists():
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.splitlines()[-1] == "dori: stopped by SIGTERM; start again to go on"
    assert (tmp_path / "ended").exists() and (tmp_path / "b" / "ended").exists()
