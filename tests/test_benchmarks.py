"""Every benchmark runs, as small as it can be, and prints, last, one JSON object with its figures."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dori.core.config import ROOT
from tests import tiny

pytestmark = pytest.mark.slow
# by script: its arguments, and a figure that it must give
SMALL = {
    "audit": (
        ["--fresh", "2", "study.seeds=1", "study.rewordings=0", "study.elicit=0", "study.guidance=null"],
        "precision_copied",
    ),
    "attack": (["--targets", "2", "--steps", "2"], "speedup"),
    "checkpoints": (
        ["--steps", "0,1", "study.seeds=1", "study.rewordings=0", "study.elicit=0", "study.guidance=null"],
        "pictures",
    ),
    "families": (["--targets", "2", "--steps", "2"], "largest_difference"),
    "finetune": (["--targets", "1", "--steps", "1"], "step_speedup"),
    "gpu": (
        ["--shape", "minnow", "--device", "cpu", "--dtype", "float32", "--batch", "16", "--steps", "1"],
        "samples_per_second",
    ),
    "kills": (["--kills", "1", "--every", "1"], "identical"),
    "locality": (["--counts", "4", "--block", "2"], "blocks_4_mb"),
    "true_shape": (["--shape", "minnow"], "peak_gb"),
    "pruning": (["--prompts", "1", "--pool", "2", "--threads", "1"], "wanda_identical"),
}  # fmt: skip


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, int | float):
        yield value


def test_every_script_is_tried() -> None:
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_and_ends_with_its_figures(
    name: str, tmp_path: Path, v_folder: Path, table: Path, ordinary: Path, measures: Path
) -> None:
    arguments, figure = SMALL[name]
    if name == "kills":  # what it runs is a job, here on the tiny model
        arguments = [
            *arguments,
            "--folder",
            str(tmp_path),
            *tiny.study_overrides(v_folder, table, ordinary, measures),
        ]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert f'"{figure}"' in json.dumps(found)
    assert all(math.isfinite(number) for number in numbers(found))
    assert not [key for key, value in found.items() if value is False]  # identical, and so on
