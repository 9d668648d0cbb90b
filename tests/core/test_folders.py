"""Folders that no two jobs share, and whose names say what lies in them."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from dori.core.config import CONF
from dori.core.folders import fresh, slug


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


@given(st.text(max_size=400))
def test_any_text_becomes_the_name_of_one_folder(text: str) -> None:
    name = slug(text)
    assert Path("a", name).parts == ("a", name)
    assert not name.startswith((".", "-")) and len(name) <= 100
    assert not set(name) & set("/\\,=[]{}()'\"$ ~*?&;")


def test_no_two_processes_get_one_folder(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8, get_context("fork")) as pool:
        found = list(pool.map(fresh, [str(tmp_path / "out")] * 40, ["now"] * 40))
    assert len(set(found)) == 40
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "now",
        *(f"now-{n}" for n in range(2, 41)),
    }


def test_where_none_can_be_made_the_path_is_left_to_who_writes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert fresh(str(tmp_path / "file"), "now") == str(tmp_path / "file" / "now")


def test_a_job_s_folder_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = composed("seed=3", "defense=siss", "pruning=none")
    first = cfg.hydra.run.dir
    assert first == cfg.hydra.run.dir  # asked for again, it is the same
    assert first.startswith("outputs/minnow-none-dori/")
    assert first.endswith("_minnow-none-siss-dori-seed3")
    other = composed("seed=3", "defense=siss", "pruning=none").hydra.run.dir
    assert other != first
    assert Path(first).is_dir() and Path(other).is_dir()


@pytest.mark.parametrize("name", ["../../a", "/etc/a", "a/b", "x" * 300])
def test_a_name_stays_below_the_outputs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(composed(f"name={name}").hydra.run.dir).resolve().parent.parent == tmp_path / "outputs"


def test_a_folder_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    cfg = composed(f"hydra.run.dir={tmp_path}", f"hydra.sweep.dir={tmp_path}")
    assert cfg.hydra.run.dir == cfg.hydra.sweep.dir == str(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("words", "name"), [
    (["hydra.mode=MULTIRUN"], "_minnow-wanda-dori"),
    (["multirun_sweeps=pruning_ratio"], "_pruning_ratio"),
])  # fmt: skip
def test_a_multirun_s_folder_says_what_it_is(
    words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert composed(*words).hydra.sweep.dir.endswith(name)
