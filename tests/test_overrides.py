"""The command line: what does not exist is answered with the nearest name that does."""

import re

import pytest

from dori.errors import InputError, unknown
from dori.overrides import check_overrides, groups


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
    check_overrides(words)


@pytest.mark.parametrize(("word", "text"), [
    ("model=minow", "unknown option of model 'minow'; did you mean 'minnow'?"),
    ("model=minnow,sd41", "unknown option of model 'sd41'; did you mean 'sd14'?"),
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
    ("seed=[1", "cannot read"),
    ("seed", "cannot read 'seed': write key=value"),
])  # fmt: skip
def test_what_does_not_exist_is_answered_with_the_nearest_name(word: str, text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        check_overrides([word])


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
