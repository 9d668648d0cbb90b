"""``dori cache``: what there is, and room made without touching what a run is at."""

import os
import time

import pytest

from dori.app.verbs.cache import command, needed, pruned
from dori.core.config import build
from dori.core.errors import InputError
from dori.core.locks import locked
from dori.steps.run import Run
from tests import tiny

DAY = 86_400


@pytest.fixture
def cache(tmp_path):
    """Entries of one and of forty days, and one that was begun forty days ago."""
    for name, days in {"images/aa": 1, "images/bb": 40, "attack/cc": 40, "attack/dd.partial": 40}.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "x.bin").write_bytes(b"0" * 1_000_000)
        os.utime(folder, (time.time() - days * DAY,) * 2)
    return tmp_path


def test_it_is_told_by_stage(cache, capsys):
    command(["--cache", str(cache)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["images", "2", "0", "2", "MB", "40", "d", "1", "d"] in lines
    assert ["attack", "1", "1", "2", "MB", "40", "d", "40", "d"] in lines
    assert any(line[:3] == ["all", "3", "1"] for line in lines)


def test_what_no_run_has_used_for_long_goes_and_what_one_is_at_stays(cache, capsys):
    with locked(cache / "attack" / "cc.lock"):
        command(["--cache", str(cache), "prune", "--older-than", "30d"])
    assert "2 entries, 2 MB, removed; 1 are in use" in capsys.readouterr().out
    left = {path.relative_to(cache).as_posix() for path in cache.glob("*/*") if path.is_dir()}
    assert left == {"images/aa", "attack/cc"}
    assert pruned(cache, 30 * DAY, dry=True).startswith("1 entries, 1 MB, would be removed")
    assert (cache / "attack" / "cc").is_dir()


def test_no_cache_and_no_age_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no cache in"):
        command(["--cache", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        command(["--cache", str(tmp_path), "prune", "--older-than", "soon"])
    assert ended.value.code == 2


def test_what_a_command_line_takes_is_told_with_what_is_there(
    v_folder, table, ordinary, measures, tmp_path, capsys
):
    words = tiny.study_overrides(v_folder, table, ordinary, measures, f"cache={tmp_path}")
    first = Run.configured(tiny.composed(*words, "attack.steps=1"))
    build(first.cfg.study)(first)
    cached = {name: [] for name in ("mask", "attack")}
    for entry in tmp_path.glob("*/*/"):
        cached.get(entry.parent.name, []).append(entry)
    # two jobs share the mask and have an attack each, of which one is there
    command(["needs", "-m", *words, "attack.steps=1,2"])
    lines = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines() if line}
    assert lines["mask"] == [str(len(cached["mask"]))] * 2
    assert lines["attack"] == [str(2 * len(cached["attack"])), str(len(cached["attack"]))]
    with pytest.raises(InputError, match="unknown"):
        needed(["prunning=wanda"])
    with pytest.raises(SystemExit):
        command(["prune", "--older-than", "3d", "pruning=wanda"])
