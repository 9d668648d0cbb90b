"""A study killed in every stage, again and again, gives the rows of one that nobody touched."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dori.core.config import ROOT
from tests import tiny
from tests.studies.restarts import KILLS


@pytest.fixture(scope="module")
def found(
    v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict:
    overrides = tiny.study_overrides(v_folder, table, ordinary, measures, "evaluation.batch=4")
    argument = json.dumps([overrides, str(tmp_path_factory.mktemp("restarts"))])
    done = subprocess.run(
        [sys.executable, "-m", "tests.studies.restarts", argument], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_kill_met_its_stage(found: dict) -> None:
    assert dict(zip(KILLS, found["killed"], strict=True)) == dict.fromkeys(KILLS, -signal.SIGKILL)
    assert found["last"] == [0, 0, 0, 0, 0]


def test_the_restarted_run_gives_the_same_bytes(found: dict) -> None:
    assert found["restarted"][0] == found["whole"][0]


def test_what_the_killed_runs_finished_is_used(found: dict) -> None:
    """The last restart has only what stood after the last kill left to do."""
    restarted, whole = found["restarted"][1], found["whole"][1]
    assert restarted == whole[len(whole) - len(restarted) :]
    assert 0 < len(restarted) < len(whole) / 2


def test_what_kills_left_behind_is_good(found: dict) -> None:
    """An entry that was marked done in two attempts must not count as damaged."""
    assert found["again"] == [found["whole"][0], []]


def test_two_runs_at_a_time_share_a_cache_and_do_nothing_twice(found: dict) -> None:
    """As two sweeps over budgets that overlap."""
    (one, first), (two, second) = found["one"], found["two"]
    rows = {json.dumps([row[key] for key in ("setting", "kind", "params")]): row for row in json.loads(one)}
    shared = 0
    for row in json.loads(two):
        other = rows.get(json.dumps([row[key] for key in ("setting", "kind", "params")]))
        shared += other is not None
        assert other in (None, row)
    assert shared == len(rows) - 4  # all but the four kinds at the budget that only one has
    attacks = [name for name in first + second if name.startswith("attack")]
    assert sorted(attacks) == [f"attack: dori on wanda, epsilon={size}" for size in (0.1, 0.2, 0.4)]

    def before(names: list[str]) -> list[str]:
        return sorted(name for name in names if "attack" not in name and "+dori" not in name)

    assert before(first + second) == before(found["whole"][1])  # as one run alone
