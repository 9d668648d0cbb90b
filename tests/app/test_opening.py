"""W&B of a job: the same id for the same results, files in the job's folder, no work lost to a server."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wandb
from safetensors.torch import load_file, save_file

from dori.app.opening import opened, run_id, shortened, tell_how_to_sync
from dori.app.tracking import finish, image_table
from dori.core.errors import InputError
from dori.steps.run import Run
from tests import tiny

Make = Callable[..., Run]


@pytest.fixture
def make(
    table: Path, ordinary: Path, measures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """A configured run with ``logger=wandb``, in a home without a key, no server anywhere."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "HOME": str(tmp_path / "home"), "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "2",
        "WANDB_SILENT": "true", "NETRC": str(tmp_path / "netrc"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    wandb.teardown()  # it reads the environment once in a process, and keeps the mode of an earlier test
    model = tiny.build_pipeline(tmp_path / "pipeline", "epsilon")

    def configured(*words: str) -> Run:
        given = tiny.study_overrides(model, table, ordinary, measures, "logger=wandb", *words)
        return Run.configured(
            tiny.composed(*given, f"logger.save_dir={tmp_path}/out", f"cache={tmp_path}/cache")
        )

    yield configured
    wandb.teardown()


def test_an_id_names_all_that_the_results_depend_on(make: Make, tmp_path: Path) -> None:
    first = run_id(make())
    assert run_id(make("cache=/tmp/x", "logger.offline=true", "trainer.accelerator=auto")) == first
    found = [first] + [
        run_id(make(word))
        for word in (
            "seed=1",
            "attack.steps=3",
            "pruning.ratio=0.2",
            "data.targets=2",
            "name=mine",
            "trainer.precision=bf16-true",
            "logger.group=mine",
        )
    ]
    weights = next((tmp_path / "pipeline" / "unet").glob("*.safetensors"))
    tensors = load_file(weights)
    save_file({name: value * 2 for name, value in tensors.items()}, weights)
    found.append(run_id(make()))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("key", [None, "short"])
def test_a_missing_key_is_one_sentence(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    with (
        pytest.raises(InputError, match=r"^logger=wandb: .*API.key.* set logger.offline=true") as told,
        opened(make(), tmp_path / "out"),
    ):
        pass
    assert "\n" not in str(told.value)


def test_a_server_that_cannot_be_reached_costs_no_work(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    with opened(make(), tmp_path / "out") as logger:
        logger.experiment.log({"value": 1.0})
        tell_how_to_sync(logger)
        finish(logger)
    assert "W&B cannot be reached" in caplog.text
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    assert capsys.readouterr().out == f"W&B, offline: wandb sync {folder}\n"
    monkeypatch.delenv("WANDB_MODE")  # Lightning's


def test_offline_all_files_lie_in_the_folder_of_the_job(make: Make, tmp_path: Path, images: object) -> None:
    before = dict(os.environ)
    with opened(make("logger.offline=true"), tmp_path / "out") as logger:
        logger.experiment.log({"images": image_table(images)})
        finish(logger)
    staged = [path for path in (tmp_path / "out" / "wandb" / "staged").rglob("*") if path.is_file()]
    assert staged
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    theirs = ("WANDB_MODE", "WANDB_SERVICE")  # Lightning's, and of a process that wandb starts
    now, before = ({k: v for k, v in each.items() if k not in theirs} for each in (dict(os.environ), before))
    assert now == before
    os.environ.pop("WANDB_MODE")  # Lightning's


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_the_modes_of_the_environment_work(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    with opened(make(), tmp_path / "out") as logger:
        logger.experiment.log({"value": 1.0})
        tell_how_to_sync(logger)
        finish(logger)


def test_names_of_any_length_are_tags(make: Make, tmp_path: Path) -> None:
    words = [f"pruning.name={30 * 'long/'}", "attack.name=a/b", "logger.offline=true"]
    with opened(make(*words), tmp_path / "out") as logger:
        tags = set(logger.experiment.tags)
        assert {(30 * "long/")[:64], "none", "a/b"} < tags
        finish(logger)
    assert shortened(["a", "", "a", "b" * 70]) == ["a", "b" * 64]
    os.environ.pop("WANDB_MODE")  # Lightning's
