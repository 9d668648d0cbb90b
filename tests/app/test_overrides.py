"""The command line: what does not exist is answered with the nearest name that does."""

import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from dori.app.overrides import check_overrides, checked, groups
from dori.core.errors import InputError, unknown


@pytest.mark.parametrize("words", [
    [],
    ["model=minnow_twin", "pruning=none", "seed=3"],
    ["attack/constraint=l2", "attack.constraint.epsilon=0.5"],
    ["model=pretrained", "model.path=/somewhere", "data.path=a.csv", "evaluation.descriptor.path=x.pt"],
    ["experiments=quickstart", "attack.steps=3"],
    ["multirun_sweeps=pruning_ratio", "pruning.ratio=0.1,0.2"],
    ["-m", "model=minnow,minnow_twin", "seed=range(0,3)", "pruning.ratio=choice(0.1,0.2)"],
    ["--multirun", "--cfg=job", "hydra.run.dir=/tmp/x", "hydra/launcher=basic"],
    ["+trainer.max_time=1", "~data.ordinary", "++attack.steps=3"],
    ["attack.optimizer.lr=0.05", "trainer.precision=16-mixed"],
    ["defense=none,adversarial", "++defense.epochs=1"],
    ["multirun_sweeps=null"],
])  # fmt: skip
def test_what_exists_is_accepted(words: list[str]) -> None:
    assert sorted(checked(words)) == sorted(words)


@pytest.mark.parametrize(("word", "text"), [
    ("model=minow", "unknown option of model 'minow'; did you mean 'minnow'?"),
    ("model=minnow,sdlx", "unknown option of model 'sdlx'; did you mean 'sdxl'?"),
    ("attack/constraint=l3", "unknown option of attack/constraint 'l3'; did you mean 'l2'?"),
    ("experiments=quikstart", "unknown option of experiments 'quikstart'; did you mean 'quickstart'?"),
    ("pruning=zzz", "unknown option of pruning 'zzz'; known: from_file, magnitude, "),
    ("modle=minnow", "unknown key 'modle'; did you mean 'model'?"),
    ("experiment=quickstart", "unknown key 'experiment'; did you mean 'experiments'?"),
    ("attack/constrain=l2", "unknown key 'attack/constrain'; did you mean 'attack/constraint'?"),
    ("attack.step=3", "unknown key 'attack.step'; did you mean 'attack.steps'?"),
    ("atack.steps=3", "unknown key 'atack'; did you mean 'attack'?"),
    ("attack.optimiser.lr=0.1", "unknown key 'attack.optimiser'; did you mean 'attack.optimizer'?"),
    ("attack.optimizer.rl=0.1", "unknown key 'attack.optimizer.rl'; did you mean 'attack.optimizer.lr'?"),
    ("model.sampling_step=3,4", "did you mean 'model.sampling_steps'?"),
    ("sed=1", "unknown key 'sed'; did you mean 'seed'?"),
    ("--foo", "unknown flag '--foo'; did you mean '--info'?"),
    ("--cfg=all_of_it", "invalid choice: 'all_of_it'"),
    ("hydra.searchpath=[file:///no/where]", "options are looked for in 'file:///no/where'"),
    ("hydra.searchpath=[pkg://no.where]", "options are looked for in 'pkg://no.where'"),
    ("--config-dir=/no/where", "no such folder"),
    ("hydra.run.dir=/no/a=b (1)", "in quotes of its own"),
    ("seed=[1", "cannot read"),
    ("seed", "cannot read 'seed': write key=value"),
])  # fmt: skip
def test_what_does_not_exist_is_answered_with_the_nearest_name(word: str, text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        checked([word])


def test_a_key_is_looked_up_in_the_chosen_option() -> None:
    check_overrides(["model=pretrained", "model.path=x"])
    with pytest.raises(InputError, match=r"unknown key 'model\.twin\.batch'|unknown key 'model\.twin'"):
        check_overrides(["model=minnow_twin", "model.twin.batch=3"])
    with pytest.raises(InputError, match=r"unknown key 'pruning\.ratio'"):
        check_overrides(["pruning=none", "pruning.ratio=0.1"])


def test_groups_list_their_options() -> None:
    found = groups()
    assert {"nemo", "none", "random", "wanda"} <= set(found["pruning"])
    assert found["pruning"] == sorted(found["pruning"])
    assert "quickstart" in found["experiments"]


def test_without_a_near_name_all_are_listed() -> None:
    assert str(unknown("thing", "xyz", ["b", "a"])) == "unknown thing 'xyz'; known: a, b"


@pytest.mark.parametrize("words", [
    ["--cfg", "job"], ["-c", "all", "--resolve"], ["--info", "defaults"], ["--info"],
    ["--cfg=job", "--package", "attack"], ["-sc", "install=bash"], ["--hydra-help"], ["--help"],
])  # fmt: skip
def test_hydras_own_flags_are_left_to_it(words: list[str]) -> None:
    assert checked(words) == words


def test_flags_may_stand_between_overrides() -> None:
    assert checked(["seed=1,2", "-m", "pruning=none"]) == ["seed=1,2", "pruning=none", "-m"]
    assert checked(["--cfg", "job", "seed=3"]) == ["seed=3", "--cfg", "job"]


@pytest.mark.parametrize("name", ["run=3 (final), v1", "a'b\\c", "{x}[y]", "~tilde", "plain"])
def test_a_file_is_taken_as_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (word,) = checked([f"model.path={tmp_path / name}"])
    assert OverridesParser.create().parse_override(word).value() == str(tmp_path / name)


def test_several_files_are_a_sweep(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    words = ["-m", f"data.path={tmp_path}/a,{tmp_path}/b", "data=folder"]
    assert checked(words) == [*words[1:], "-m"]


@pytest.mark.parametrize(
    "spelling", ["--config-dir={}", "hydra.searchpath=[file://{}]", "hydra.searchpath=['{}']"]
)
def test_options_in_a_folder_of_ones_own_are_known(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "pruning").mkdir()
    (tmp_path / "pruning/mine.yaml").write_text("_target_: dori.pruning.Wanda\nname: mine\nratio: 0.1\n")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/ours.yaml").write_text(
        "# @package _global_\ndefaults: [override /pruning: mine]\n"
    )
    place = spelling.format(tmp_path)
    assert set(checked([place, "pruning=mine", "pruning.ratio=0.2"])) == {
        place,
        "pruning=mine",
        "pruning.ratio=0.2",
    }
    checked([place, "experiments=ours"])
    checked([place, "experiments=quickstart"])
    with pytest.raises(InputError, match="did you mean 'mine'"):
        checked([place, "pruning=min"])
    with pytest.raises(InputError, match=r"unknown key 'pruning\.base'"):
        checked([place, "pruning=mine", "pruning.base=empty"])


def test_an_option_of_a_part_may_be_written_with_a_dot() -> None:
    assert checked(["attack.start=gaussian"]) == ["attack/start=gaussian"]
    assert checked(["-m", "attack.start=gaussian,prompt"]) == ["attack/start=gaussian,prompt", "-m"]
    assert checked(["evaluation.descriptor=sscd_int8"]) == ["evaluation/descriptor=sscd_int8"]
    assert checked(["attack.steps=3"]) == ["attack.steps=3"]


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_at_home_is_no_folder_called_tilde(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert checked([f"{key}=~/x"]) == [f"{key}=/home/me/x"]
    assert checked([f"{key}=a/x"]) == [f"{key}=a/x"]
