"""Trackers: W&B offline gets everything under fixed names; CSV gets the figures; failures show."""

import json
import math

import pandas as pd
import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from omegaconf import OmegaConf

from dori.app.tracking import (
    finish,
    flatten,
    image_table,
    log_history,
    log_results,
    log_sweep,
    summary,
    tags,
)  # fmt: skip
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


def test_names_are_fixed(rows):
    figures = summary(rows)
    assert figures["wanda+dori/verbatim/MR"] == pytest.approx(33 / 48)
    assert figures["wanda+dori/verbatim/MR_n"] == 48
    assert figures["wanda+dori/verbatim/MR/held_out_low"] < figures["wanda+dori/verbatim/MR/held_out"]
    assert figures["original/verbatim/SSCD_Orig_mad"] == 0.05
    assert figures["wanda/ordinary/KID_difference_high"] == 0.009


def test_missing_figures_are_left_out(rows):
    rows[0]["metrics"] = {"MR": {"value": math.nan, "n": 0}, "FID": None}
    assert list(summary(rows[:1])) == ["original/verbatim/MR_n"]


def test_config_is_flat():
    config = {"attack": {"steps": 50, "start": {"name": "prompt"}}, "seed": 0, "extra": {}}
    assert flatten(config) == {"attack/steps": 50, "attack/start/name": "prompt", "seed": 0, "extra": {}}


def test_tags_name_the_groups_chosen():
    choices = {"pruning": "wanda", "hydra/launcher": "basic", "experiments": None, "attack": "dori"}
    assert tags(choices) == ["attack=dori", "pruning=wanda"]


def test_wandb_offline_writes_summary_config_and_pictures(offline, rows, images, files):
    log_results(offline, rows, images, *files, {"pruning": {"ratio": 0.05}}, tags=["pruning=wanda"])
    run = offline.experiment
    assert run.summary["wanda+dori/verbatim/MR"] == pytest.approx(33 / 48)
    assert run.summary["wanda+dori/verbatim/MR_low"] == pytest.approx(0.5467, abs=1e-3)
    assert run.config["pruning/ratio"] == 0.05
    assert set(run.tags) == {"study=mitigation", "pruning=wanda"}
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
    log_results(offline, job("wanda"), images, *files, {})
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
    log_results(logger, job("wanda"), images, *files, {"pruning": {"ratio": 0.05}})
    finish(logger)
    written = pd.read_csv(next((tmp_path / "logs").rglob("metrics.csv")))
    assert written["original,epsilon=none/verbatim/MR"].dropna().item() == pytest.approx(10 / 12)
    assert written["budget/epsilon"].dropna().tolist() == [0.1, 0.2, 0.4, 0.8]
    assert written["curve/MR"].dropna().tolist() == pytest.approx([1 / 12, 2 / 12, 9 / 12, 10 / 12])
    assert wandb.run is None


def test_no_logger_is_fine(rows, images, files):
    log_results(None, rows, images, *files, {})
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
    assert [len(cfg.logger.name), len(cfg.logger.group), len(cfg.logger.tags[0])] == [128, 128, 64]
    plain = tiny.composed("logger=wandb")
    assert plain.logger.name == plain.logger.group == plain.name
