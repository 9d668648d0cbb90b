"""``dori plan`` and ``dori check``, as somebody types them."""

from pathlib import Path

import pytest

from dori.app.verbs import checking, planning
from dori.core.errors import InputError
from tests import tiny


@pytest.fixture
def words(v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path: Path) -> list[str]:
    return tiny.study_overrides(v_folder, table, ordinary, measures, f"cache={tmp_path / 'cache'}")


def test_a_plan_has_a_line_for_every_stage_and_the_sum(words, capsys, tmp_path) -> None:
    assert planning.command(words) == 0
    said = capsys.readouterr().out
    assert "images: original" in said and "attack: dori on wanda" in said
    assert "to compute: " in said and "are free" in said
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("memory", "verdict"), [(10**9, "fits on card (1 GB)"), (10**5, "does not fit on card")]
)
def test_a_plan_tells_whether_the_attack_fits_the_device(
    words, capsys, monkeypatch: pytest.MonkeyPatch, memory: int, verdict: str
) -> None:
    monkeypatch.setattr("dori.app.holding.device_of", lambda run: ("card", memory))
    planning.command(words)
    (said,) = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("memory: needs about")
    ]
    assert "for the attack" in said and verdict in said
    assert ("set model.offload=true and model.gradient_checkpointing=true" in said) == (memory == 10**5)


def test_of_a_multirun_a_stage_that_jobs_share_counts_once(words, capsys) -> None:
    planning.command([*words, "-m", "attack.steps=1,2"])
    lines = capsys.readouterr().out.splitlines()
    first, second = (next(line for line in lines if f"attack.steps={n}" in line).split() for n in (1, 2))
    assert first[1] == "0" and int(second[1]) > 0
    assert int(first[2]) > int(second[2]) > 0


def test_a_check_tells_all_that_is_wrong_at_once(words, capsys) -> None:
    assert checking.command(words) == 0
    assert "nothing was computed" in capsys.readouterr().out
    with pytest.raises(InputError) as told:
        checking.command([*words, "attack.pairs=-1", "pruning.ratio=7"])
    assert "2 things are wrong" in str(told.value)
    assert "attack.pairs" in str(told.value) and "pruning.ratio" in str(told.value)
    with pytest.raises(InputError, match=r"1 of 2 jobs cannot run.*\n +job 1: attack.pairs"):
        checking.command([*words, "-m", "attack.pairs=1,-1"])
