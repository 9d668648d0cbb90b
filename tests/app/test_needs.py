"""What a job will write is told before it begins, and refused where it cannot fit."""

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dori.app import needs
from dori.app.needs import Need, check_room, in_cache, in_folder
from dori.core.config import build
from dori.core.errors import InputError
from dori.steps.run import Run
from tests import tiny

Make = Callable[..., Run]


@pytest.fixture
def make(v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path: Path) -> Make:
    def configured(*words: str) -> Run:
        given = tiny.study_overrides(v_folder, table, ordinary, measures, f"cache={tmp_path}/cache", *words)
        return Run.configured(tiny.composed(*given))

    return configured


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 100 kB and 40 files."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k,nr_inodes=40", "tmpfs", folder]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("words", [(), ("pruning=none", "attack=none"), ("attack.restarts=2",)])
def test_the_pictures_are_those_that_are_drawn(make: Make, words: tuple[str, ...]) -> None:
    run = make(*words)
    build(run.cfg.study)(run)
    files = [path for path in run.stages.root.rglob("*") if path.is_file()]
    pictures = sum(path.suffix == ".png" for path in files)
    masks = 2 if run.pruning else 0
    triggers = 1 if run.attack else 0
    found = in_cache(run)
    assert found.files == pictures + masks + triggers
    blocks = sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    assert 0.4 * blocks < found.size < 1.2 * blocks


def test_a_job_that_cannot_fit_is_refused_with_what_it_needs(make: Make, small: Path, tmp_path: Path) -> None:
    run = make(f"cache={small}/cache")
    with pytest.raises(
        InputError, match=rf"this job writes about \d+ kB in \d+ files to {small}/cache, where"
    ):
        check_room(run, tmp_path)
    with pytest.raises(InputError, match=r"(98|102) kB are free: make room, or .* DORI_CACHE or cache="):
        check_room(run, tmp_path)
    assert not (small / "cache" / "images").exists()


def test_what_is_there_already_needs_no_room(make: Make, small: Path, tmp_path: Path) -> None:
    """Started again on a full disk, a job may find all that it wants."""
    run = make(f"cache={small}/cache")
    entry = small / "cache" / "images" / "entry"
    entry.mkdir(parents=True)
    with pytest.raises(OSError, match="No space left"):
        (entry / "a").write_bytes(bytes(200_000))
    need = in_cache(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(needs, "in_cache", lambda run: Need(140_000, need.files // 2))
        check_room(run, tmp_path)


def test_inodes_are_counted(make: Make, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(f"cache={small}/cache")
    monkeypatch.setattr(needs, "in_cache", lambda run: Need(1000, 100))
    with pytest.raises(InputError, match=r"in 100 files to .*, where \d+ more can be made"):
        check_room(run, tmp_path)


def test_a_saved_model_needs_room_in_the_folder(make: Make, small: Path) -> None:
    run = make("save_model=true")
    assert in_folder(run).size > in_folder(make()).size
    with pytest.raises(InputError, match=rf"to {small}/out, where .* or .* hydra.run.dir="):
        check_room(run, small / "out")


def test_a_large_job_says_what_it_writes(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = make()
    with caplog.at_level(logging.WARNING):
        check_room(run, tmp_path)
        assert caplog.messages == []
        monkeypatch.setattr(needs, "in_cache", lambda run: Need(2 * 10**9, 5))
        monkeypatch.setattr(needs, "free", lambda folder: 3 * 10**9)
        monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_files=0, f_favail=0))
        check_room(run, tmp_path)
    assert caplog.messages == [
        f"this job writes about 2 GB in 5 files to {tmp_path}/cache, where 3 GB are free"
    ]
    assert run.stages.need == 2 * 10**9
