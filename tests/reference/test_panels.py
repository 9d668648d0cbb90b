"""Panels are drawn from what an offline run of W&B holds, which is what was logged."""

import subprocess
import sys
from pathlib import Path

import pytest
import wandb
from PIL import Image

from dori.core.errors import InputError
from dori.reference.offline import Recorded, recorded
from dori.reference.panels import draw, main

LONG = "x" * 200_000  # longer than several blocks of the log


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two offline runs: another ratio each, and a curve of three budgets."""
    where = tmp_path_factory.mktemp("runs")
    for ratio in (0.05, 0.2):
        config = {"pruning/ratio": ratio, "long": LONG}
        with wandb.init(mode="offline", dir=where, name=f"ratio-{ratio}", config=config) as run:
            for epsilon in (0.1, 0.2, 0.4):
                run.log({"budget/epsilon": epsilon, "curve/MR": ratio + epsilon, "curve/MR_twin": 0.0})
            run.summary.update({"attacked/MR": 0.5, "mitigated/MR": ratio, "mitigated/FID_ratio": 1 + ratio})
    wandb.teardown()  # its service writes the last of a run after the run has ended
    return where


def test_a_run_is_read_as_it_was_logged(folder: Path) -> None:
    runs = {run.name: run for run in map(recorded, folder.rglob("run-*.wandb"))}
    assert set(runs) == {"ratio-0.05", "ratio-0.2"}
    run = runs["ratio-0.2"]
    assert run.config["pruning/ratio"] == 0.2 and run.config["long"] == LONG
    assert run.summary["mitigated/FID_ratio"] == 1.2
    assert [(step["budget/epsilon"], step["curve/MR"]) for step in run.history] == [
        (0.1, pytest.approx(0.3)), (0.2, pytest.approx(0.4)), (0.4, pytest.approx(0.6)),
    ]  # fmt: skip


@pytest.mark.parametrize("section, panels", [("Budgets of the attack", 1), ("How much is pruned", 4)])
def test_a_section_has_the_panels_that_runs_fill(folder: Path, section: str, panels: int) -> None:
    main([str(folder), "--section", section, "--out", str(folder / "panels.png")])
    width, height = Image.open(folder / "panels.png").size
    assert (width, height) == (int(3.2 * 160) * panels, int(2.6 * 160))


def test_what_nothing_shows_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="have nothing that the section 'Defenses' shows"):
        draw("Defenses", [Recorded()], tmp_path / "out.png")
    with pytest.raises(InputError, match="no section 'Defence'; there are: Recalled"):
        draw("Defence", [Recorded()], tmp_path / "out.png")
    with pytest.raises(InputError, match="no offline run lies below"):
        main([str(tmp_path), "--section", "Defenses", "--out", "out.png"])


def test_the_command_answers() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "dori.reference.panels", "--help"], capture_output=True, text=True
    )
    assert "--section" in told.stdout
