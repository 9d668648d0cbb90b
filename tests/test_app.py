"""The command as a user types it: bad input is answered at once, in one line, with exit code 2."""

import subprocess
import sys

import pytest

# (arguments, what the one line must name)
REFUSED = [
    (["pruning=wnda"], ["'wnda'", "'wanda'"]),
    (["pruning.ratoi=0.1"], ["'pruning.ratoi'", "'pruning.ratio'"]),
    (["experiments=quickstrat"], ["'quickstrat'", "'quickstart'"]),
    (["pruning.ratio=2"], ["pruning.ratio", "2"]),
    (["attack.steps=0"], ["attack.steps", "0"]),
    (["attack.steps=-3"], ["attack.steps", "-3"]),
    (["data.targets=0"], ["data.targets", "0"]),
    (["data.targets=1000"], ["data.targets", "1000"]),
    (["model=pretrained", "model.path=/nowhere", "data=minnow", "evaluation=minnow"], ["/nowhere"]),
    (["model=sd14"], ["data.path"]),
    (["hydra.run.dir=/proc/dori"], ["/proc/dori"]),
]


@pytest.mark.parametrize(("arguments", "named"), REFUSED, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_refused_in_one_line(arguments, named, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "dori.app", *arguments],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert run.returncode == 2, run.stderr[-2000:]
    lines = [line for line in run.stderr.splitlines() if line.startswith("dori: ")]
    assert len(lines) == 1 and "Traceback" not in run.stderr
    for word in named:
        assert word in lines[0]
