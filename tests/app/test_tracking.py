"""Trackers: W&B offline gets everything under fixed names; CSV gets the figures; failures show."""

import json
import math

import pandas as pd
import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from omegaconf import OmegaConf

from dori.app.course import Course, Foretold
from dori.app.opening import flatten
from dori.app.summary import summary
from dori.app.tracking import Tracked, finish, image_table, log_history, log_results, log_sweep
from dori.core import progress
from dori.core.progress import told_to
from tests import tiny
from tests.results.budgets import job, sweep


@pytest.fixture
def files(tmp_path, images):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "grid.png")
    (tmp_path / "report.html").write_text("<p>report</p>")
    return tmp_path / "grid.png", tmp_path / "report.html"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield WandbLogger(project="dori", save_dir=tmp_path, offline=True, tags=["study=mitigation"])
    wandb.finish()


def test_runs_of_other_methods_have_the_same_columns(make_rows):
    rows = make_rows()
    nemo = [{**row, "setting": row["setting"].replace("wanda", "nemo")} for row in rows]
    assert summary(rows) == summary(nemo)
    assert 20 < len(summary(rows)) < 80


def test_a_column_has_the_figure_of_its_row(rows):
    figures = summary(rows)
    assert figures["attacked/MR"] == pytest.approx(33 / 48) and figures["attacked/MR_n"] == 48
    assert figures["mitigated/MR"] == pytest.approx(5 / 48) and figures["original/MR"] == pytest.approx(
        47 / 48
    )
    assert figures["twin_attacked/MR"] == pytest.approx(2 / 48)
    assert figures["attacked/template/MR"] == pytest.approx(1 / 16)
    # of controls, the same attack
    assert figures["control/unseen/MR"] == pytest.approx(1 / 48)
    assert figures["control/seen/MR"] == pytest.approx(2 / 48)
    assert figures["mitigated/KID_difference"] == 0.004 and figures["original/FID"] == 18.4


def test_of_several_budgets_the_largest_is_in_the_columns():
    figures = summary(job("wanda"))
    assert figures["attacked/MR"] == pytest.approx(10 / 12)
    assert not [name for name in figures if "=" in name]


def test_without_an_attack_the_controls_are_those_of_the_mitigation(make_rows):
    hits = {"original": {"verbatim": 40, "unseen": 1}, "wanda": {"verbatim": 3, "unseen": 2}}
    assert summary(make_rows(hits=hits))["control/unseen/MR"] == pytest.approx(2 / 48)


def test_missing_figures_are_left_out(rows):
    rows[0]["metrics"] = {"MR": {"value": math.nan, "n": 0}, "FID": None}
    assert list(summary(rows[:1])) == ["original/MR_n"]


def test_config_is_flat():
    config = {"attack": {"steps": 50, "start": {"name": "prompt"}}, "seed": 0, "extra": {}}
    assert flatten(config) == {"attack/steps": 50, "attack/start/name": "prompt", "seed": 0, "extra": {}}


def test_wandb_offline_writes_summary_and_pictures(offline, rows, images, files):
    log_results(offline, rows, images, *files)
    run = offline.experiment
    assert run.summary["attacked/MR"] == pytest.approx(33 / 48)
    assert run.summary["attacked/MR_low"] == pytest.approx(0.5467, abs=1e-3)
    media = {path.suffix for path in (offline_folder(run) / "media").rglob("*") if path.is_file()}
    assert {".png", ".html", ".json"} <= media
    finish(offline)
    assert wandb.run is None


def test_several_budgets_are_curves_under_names_that_runs_share(offline, images, files, monkeypatch):
    run, defined = offline.experiment, []
    define = run.define_metric

    def watched(name, **settings):
        defined.append((name, settings))
        return define(name, **settings)

    monkeypatch.setattr(run, "define_metric", watched)
    log_results(offline, job("wanda"), images, *files)
    wanda = dict(run.summary)
    assert (wanda["budget/epsilon"], wanda["curve/MR"]) == (0.8, pytest.approx(10 / 12))
    assert wanda["curve/MR_twin"] == pytest.approx(2 / 12) and wanda["curve/MR_unseen"] == 0
    assert wanda["curve/MR_unseen_original"] == pytest.approx(4 / 48)
    assert wanda["curve/Displacement"] == 0.8
    # a name of another mitigation or budget would be a line of its own
    assert not [name for name in wanda if name.startswith("curve/") and ("wanda" in name or "=" in name)]
    assert defined == [("budget/epsilon", {}), ("curve/*", {"step_metric": "budget/epsilon"})]


def test_a_training_is_a_curve_over_epochs_with_its_pictures(offline, files):
    log_history(offline, [{"epoch": e, "MR": rate} for e, rate in enumerate((0.9, 0.1, 0.0))], files[0])
    run = offline.experiment
    assert (run.summary["training/MR"], run.summary["budget/epochs"]) == (0.0, 2)
    assert [path.name for path in (offline_folder(run) / "media").rglob("*.png")] != []
    log_history(offline, [{"epoch": 3}], files[0].with_name("none.png"))


def test_while_it_runs_it_is_told_where_the_job_is_and_how_a_training_goes(offline, files, monkeypatch):
    monkeypatch.setattr("dori.app.tracking.PAUSE", 0)
    course = Course(lambda: Foretold({"training: mine": 10, "after": 10}))
    tracked, run = Tracked(offline, course), offline.experiment
    with told_to(course), told_to(tracked):
        progress.begin(["training: mine"])
        progress.advance(0.5)
        assert run.summary["progress/stage"] == "training: mine"
        progress.look({"epoch": 1, "MR": 0.4})
        progress.end(["training: mine"], cached=False)
    assert dict(run.summary)["progress/share"] == 0.5 and dict(run.summary)["training/MR"] == 0.4
    told = []
    monkeypatch.setattr("dori.app.tracking.log_epoch", lambda logger, line: told.append(line["epoch"]))
    log_history(offline, [{"epoch": 1, "MR": 0.4}, {"epoch": 2, "MR": 0.2}], files[0], tracked.epochs)
    assert told == [2]


def test_a_finished_sweep_logs_a_run_for_each_line(monkeypatch, tmp_path):
    """Also where every budget was a job, which knows no curve."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "report.html").write_text("<p>report</p>")
    logger = {"_target_": "lightning.pytorch.loggers.WandbLogger", "project": "dori", "offline": True}
    log_sweep(sweep(steps=(10, 50)), OmegaConf.create({"name": "mine", "logger": logger}), tmp_path)
    assert wandb.run is None
    runs = list((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 4
    log_sweep(sweep(), OmegaConf.create({"name": "x", "logger": {"_target_": "CSVLogger"}}), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_failed_job_closes_its_run(offline):
    offline.experiment.summary["x"] = 1
    finish(offline, exit_code=1)
    assert wandb.run is None


def test_csv_gets_the_figures_and_nothing_else(rows, images, files, tmp_path):
    logger = CSVLogger(tmp_path, name="logs")
    log_results(logger, job("wanda"), images, *files)
    finish(logger)
    written = pd.read_csv(next((tmp_path / "logs").rglob("metrics.csv")))
    assert written["original/MR"].dropna().item() == pytest.approx(10 / 12)
    assert written["budget/epsilon"].dropna().tolist() == [0.1, 0.2, 0.4, 0.8]
    assert written["curve/MR"].dropna().tolist() == pytest.approx([1 / 12, 2 / 12, 9 / 12, 10 / 12])
    assert wandb.run is None


def test_no_logger_is_fine(rows, images, files):
    log_results(None, rows, images, *files)
    finish(None)


def test_the_table_shows_the_best_seed_of_each_prompt(images):
    table = image_table(images)
    shown = [line for line in table.data if line[-1] is not None]
    assert len(table.data) == len(images) and len(shown) == len(images) // 2
    assert all(line[table.columns.index("seed")] == 0 for line in shown)
    assert json.dumps([line[:-1] for line in table.data])


def offline_folder(run):
    from pathlib import Path

    return Path(run.dir)


def test_names_are_as_long_as_the_tracker_takes() -> None:
    long = "x" * 300
    cfg = tiny.composed("logger=wandb", f"name={long}", f"model.name={long}")
    assert [len(cfg.logger.name), len(cfg.logger.tags[0])] == [128, 64]
    plain = tiny.composed("logger=wandb")
    assert plain.logger.name == f"{plain.name}-none-seed0"
