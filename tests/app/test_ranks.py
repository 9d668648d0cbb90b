"""Whole sweeps by the command: on two ranks, with a rank killed, and by every launcher."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dori.core.config import ROOT
from tests import tiny
from tests.defenses.conftest import SMALL
from tests.studies.test_defending import SURROGATES, training  # noqa: F401
from tests.studies.test_locality import SMALL as LOCALITY

pytestmark = pytest.mark.slow
Sweep = Callable[..., subprocess.Popen]
DDP = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def sweep(v_folder: Path, table: Path, ordinary: Path, measures: Path, root: Path) -> Sweep:
    """``sweep("name", ...)`` starts ``dori -m`` over two seeds into the folder of that name."""
    overrides = tiny.study_overrides(v_folder, table, ordinary, measures, "study.baseline=false")

    def start(name: str, *more: str, cache: str) -> subprocess.Popen:
        given = [*overrides, f"cache={root / cache}", f"hydra.sweep.dir={root / name}", "seed=1,2", *more]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DORI_TEST": name}
        command = [sys.executable, "-m", "dori.app.main", "-m", *given]
        with (root / f"{name}.log").open("w") as log:
            return subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)

    return start


@pytest.fixture(scope="module")
def whole(sweep: Sweep, root: Path) -> Path:
    """The sweep by one process."""
    assert sweep("whole", cache="whole-cache").wait() == 0, (root / "whole.log").read_text()[-3000:]
    return root / "whole"


def rows(folder: Path) -> bytes:
    return (folder / "rows.json").read_bytes()


def of_sweep(name: str) -> dict[int, dict[str, str]]:
    """The environments of all processes that a sweep has started and that still run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            lines = path.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        environment = dict(line.decode(errors="replace").split("=", 1) for line in lines if b"=" in line)
        if environment.get("DORI_TEST") == name:
            found[int(path.parent.name)] = environment
    return found


def nobody_left(name: str) -> bool:
    until = time.monotonic() + 60
    while of_sweep(name) and time.monotonic() < until:
        time.sleep(0.1)
    return not of_sweep(name)


def kill_rank(name: str, rank: str, when: Path, driver: subprocess.Popen) -> None:
    """SIGKILL to a rank of the sweep once the first job is in that folder of the cache."""
    while not when.exists():
        assert driver.poll() is None
        time.sleep(0.01)
    (pid,) = [pid for pid, environment in of_sweep(name).items() if environment.get("LOCAL_RANK") == rank]
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("rank", "stage"), [("1", "attack"), ("0", "mask")])
def test_a_killed_rank_fails_its_job_alone_and_the_sweep_can_go_on(
    sweep: Sweep, whole: Path, root: Path, rank: str, stage: str
) -> None:
    name, cache = f"killed-{rank}", f"cache-{rank}"
    driver = sweep(name, *DDP, cache=cache)
    kill_rank(name, rank, root / cache / stage, driver)
    assert driver.wait() != 0
    assert nobody_left(name)
    error = json.loads((root / name / "0" / "failed.json").read_text())["error"]
    assert error == f"RankFailed: rank {rank} of 2 was killed (SIGKILL)"
    assert not (root / name / "0" / "rows.json").exists()
    assert rows(root / name / "1") == rows(whole / "1")

    again = sweep(name, *DDP, cache=cache)
    assert again.wait() == 0, (root / f"{name}.log").read_text()[-3000:]
    assert rows(root / name / "0") == rows(whole / "0")
    assert rows(root / name) == rows(whole)
    assert nobody_left(name)


def test_a_defense_is_trained_by_both_ranks(
    v_folder: Path,
    table: Path,
    ordinary: Path,
    measures: Path,
    training: Path,  # noqa: F811
    root: Path,
) -> None:
    """From surrogates to rows; the weights are those of one process, but for the order of sums."""
    command = [sys.executable, "-m", "dori.app.main", *tiny.study_overrides(
        v_folder, table, ordinary, measures, f"data.training={training}", "defense=adversarial", *SMALL,
        *SURROGATES, "pruning=none", "save_model=true",
    )]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DORI_TEST": "defense"}
    for name, more in {"one": (), "two": DDP}.items():
        own = [f"cache={root / f'defense-{name}'}", f"hydra.run.dir={root / f'defended-{name}'}", *more]
        done = subprocess.run([*command, *own], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (
        load_file(root / f"defended-{name}" / "model/unet/diffusion_pytorch_model.safetensors")
        for name in ("one", "two")
    )
    for key, value in one.items():  # Adam's first steps are the gradient's sign
        assert (two[key] - value).abs().mean() < 1e-4
    settings = [
        [row["setting"] for row in json.loads(rows(root / f"defended-{name}"))] for name in ("one", "two")
    ]
    assert settings[0] == settings[1]
    assert nobody_left("defense")


def test_locality_is_the_same_on_two_ranks(
    epsilon_folder: Path, ordinary: Path, measures: Path, root: Path
) -> None:
    """Triggers, distances, activations, overlaps and cuts, but for the order of sums."""
    (root / "six").mkdir()
    six = tiny.build_table(root / "six", (*("verbatim",) * 4, *tiny.KINDS))  # it wants five memorized
    words = tiny.study_overrides(epsilon_folder, six, ordinary, measures, *LOCALITY)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DORI_TEST": "locality"}
    for name, more in {"one": (), "two": DDP}.items():
        own = [f"cache={root / f'locality-{name}'}", f"hydra.run.dir={root / f'local-{name}'}", *more]
        command = [sys.executable, "-m", "dori.app.main", *words, *own]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads(rows(root / f"local-{name}")) for name in ("one", "two"))
    assert [(row["setting"], row["kind"]) for row in one] == [(row["setting"], row["kind"]) for row in two]
    for row, other in zip(one, two, strict=True):
        for metric, figure in row["metrics"].items():
            theirs = other["metrics"][metric]
            assert figure["n"] == theirs["n"]
            assert (figure["value"] is None) == (theirs["value"] is None)
            if figure["value"] is not None:
                assert figure["value"] == pytest.approx(theirs["value"], rel=1e-3, abs=1e-3)
    assert nobody_left("locality")


def test_a_killed_driver_leaves_no_rank(sweep: Sweep, root: Path) -> None:
    driver = sweep("orphans", *DDP, cache="orphans-cache")
    while not (root / "orphans-cache" / "images").exists():
        assert driver.poll() is None
        time.sleep(0.01)
    assert len(of_sweep("orphans")) >= 3
    driver.kill()
    driver.wait()
    assert nobody_left("orphans")


@pytest.mark.parametrize("launcher", [
    ["process"], ["joblib", "hydra.launcher.n_jobs=2"], ["submitit_local", "hydra.launcher.timeout_min=10"],
])  # fmt: skip
def test_any_launcher_does_the_sweep(sweep: Sweep, whole: Path, root: Path, launcher: list[str]) -> None:
    if launcher[0] != "process":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher[0].split('_')[0]}_launcher")
    name, *more = launcher
    done = sweep(name, f"hydra/launcher={name}", *more, cache="whole-cache").wait()
    assert done == 0, (root / f"{name}.log").read_text()[-3000:]
    assert rows(root / name) == rows(whole)
    assert nobody_left(name)
