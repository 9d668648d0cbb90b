"""What parts tell of themselves: every key of every option, as rows need it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, ListConfig, OmegaConf

from dori.attacks.budgets import budgets
from dori.core.config import CONF
from dori.core.fingerprints import identity
from dori.core.neutral import neutral, neutral_of
from dori.core.settings import of_attack, settings
from tests.tiny import composed

GROUPS = ("model", "data", "pruning", "defense", "attack", "study", "evaluation")
OPTIONS = [
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for group in GROUPS for path in sorted((CONF / group).rglob("*.yaml"))
]  # fmt: skip
HYDRAS = ("_partial_", "_convert_")


def option(word: str, *more: str) -> DictConfig:
    cfg = composed(word, *more)
    for group in GROUPS:
        for key in OmegaConf.missing_keys(cfg[group]):
            OmegaConf.update(cfg, key, "given")
    return cfg


def leaves(node: DictConfig, path: str) -> Iterator[tuple[DictConfig, str, str]]:
    """Every key that is no part of its own: its node, its name and its path."""
    for key in map(str, node):
        if not OmegaConf.is_interpolation(node, key) and isinstance(node[key], DictConfig):
            yield from leaves(node[key], f"{path}.{key}")
        elif key not in HYDRAS:
            yield node, key, f"{path}.{key}"


def other(value: Any) -> Any:
    """Another value for a setting, of its type where it has one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, ListConfig):
        return [*value, 1]
    return 7 if value is None else "tests.test_settings.Foreign"


class Foreign:
    """Somebody's own part; also a name, a text, a choice."""


@pytest.mark.parametrize("word", OPTIONS)
def test_every_setting_of_every_option_tells_rows_apart(word: str) -> None:
    """But for what is neutral, and that enters no fingerprint either."""
    cfg, group = option(word), word.replace("=", "/").split("/")[0]
    part, called = cfg[group], group
    if word.startswith("evaluation/quality="):  # which are told by rows of their own
        called = word.replace("=", "/").replace("/", ".")
        part = OmegaConf.select(cfg, called)
    if "_target_" not in part:
        return
    whole = settings(part, called)
    json.dumps(whole, allow_nan=False)
    for node, key, path in list(leaves(part, called)):
        name = path.rpartition(".")[0]
        before, written = settings(node, name), OmegaConf.to_container(node)[key]
        assert before.items() <= whole.items(), path
        target, was = node.get("_target_"), node[key]
        node[key] = other(was)
        if target and key in neutral_of(target):
            assert settings(node, name) == before, path
            changed, node[key] = identity(node), written
            assert identity(node) == changed, path
        else:
            assert settings(node, name) != before, path
            node[key] = written


@pytest.mark.parametrize("key", [str(key) for key in OmegaConf.load(CONF / "scale/minnow.yaml")])
def test_what_goes_by_a_models_size_is_told_by_the_parts_that_take_it(key: str) -> None:
    found = []
    for change in (False, True):
        cfg = composed("pruning=wanda", "defense=adversarial")
        cfg.scale[key] = other(cfg.scale[key]) if change else cfg.scale[key]
        found.append(settings(cfg.pruning, "pruning") | settings(cfg.defense, "defense"))
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "word", [word for word in OPTIONS if word.startswith("attack=") and "none" not in word]
)
def test_an_attacks_settings_have_short_names_that_clash_with_none(word: str) -> None:
    cfg = option(word, "attack.seed=3")
    found, names = settings(cfg.attack, "attack"), of_attack(cfg.attack, 7, 0.5)
    apart = {"attack.epsilons", "attack.snapshots", "attack.constraint.epsilon"}
    assert len(names) == len(found.keys() - apart) + 1  # epsilon
    assert names["attack.seed"] == 3 and "seed" not in names
    expected = {"attack", "steps", "epsilon", "start", "restarts", "optimizer.lr"}
    assert expected <= names.keys() and (names["steps"], names["epsilon"]) == (7, 0.5)


def test_the_default_attack_is_told_as_tables_call_it() -> None:
    expected = {
        "attack": "dori", "start": "prompt", "constraint": "unconstrained", "objective": "denoising_loss",
        "window": None, "stop": "steps", "optimizer": "Adam", "optimizer.class": "torch.optim.Adam",
        "optimizer.lr": 0.1, "steps": 50, "epsilon": None,
    }  # fmt: skip
    found = of_attack(composed().attack, 50, None)
    assert found == found | expected
    # these follow the run's own seed
    assert not found.keys() & {"seed", "attack.seed", "batch", "epsilons", "snapshots"}
    # these change what is solved at once, not what is found
    assert of_attack(composed("attack.batch=3").attack, 50, None) == found


def test_of_several_budgets_each_row_tells_its_own() -> None:
    cfg = composed("attack/constraint=l2", "attack.epsilons=[0.1,0.2]", "attack.snapshots=[1,50]").attack
    found = [
        of_attack(cfg, each.steps, each.epsilon) for each in budgets(cfg.steps, cfg.snapshots, cfg.epsilons)
    ]
    expected = [(1, 0.1), (50, 0.1), (1, 0.2), (50, 0.2)]
    assert [(each["steps"], each["epsilon"]) for each in found] == expected
    # each is that of a job with this budget alone
    alone = composed("attack/constraint=l2", "attack.constraint.epsilon=0.2", "attack.steps=50").attack
    assert found[3] == of_attack(alone, 50, None)


def test_what_follows_another_setting_is_told_there_alone() -> None:
    cfg = composed("attack=initial_noise", "pruning=nemo", "defense=adversarial")
    for part in (cfg.attack, cfg.pruning, cfg.defense):
        assert not [name for name in settings(part, "part") if name.endswith(".seed")]
    assert "attack.space.guidance" not in settings(cfg.attack, "attack")
    cfg.attack.space.guidance, cfg.pruning.seed = 3.0, 0
    assert settings(cfg.attack, "attack")["attack.space.guidance"] == 3
    assert settings(cfg.pruning, "pruning")["pruning.seed"] == 0


def test_files_are_told_by_name_and_content_wherever_they_lie(tmp_path: Path) -> None:
    def node(folder: str, content: str) -> dict[str, Any]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "mask.csv").write_text(content)
        made = {"_target_": "dori.pruning.FromFile", "path": f"{tmp_path}/{folder}/mask.csv"}
        return settings(OmegaConf.create(made), "pruning")

    one, same, another = node("a", "1"), node("b", "1"), node("c", "2")
    assert one == same
    assert {key for key in one if one[key] != another[key]} == {"pruning.path.hash"}
    assert one["pruning.path"] == "mask.csv" and str(tmp_path) not in json.dumps(one)
    hub = OmegaConf.create({"_target_": "dori.diffusion.StableDiffusion", "path": "CompVis/none-here"})
    assert settings(hub, "model")["model.path"] == "CompVis/none-here"
    # a text is no file, however long
    long = OmegaConf.create({"texts": ["a/b. " * 200], "text": "a/b. " * 200})
    assert settings(long, "start") == {"start.texts": ["a/b. " * 200], "start.text": "a/b. " * 200}
    assert identity(long) == OmegaConf.to_container(long)


@neutral("batch")
class Own:
    """A part in somebody's own package."""


def test_a_foreign_part_tells_all_of_itself() -> None:
    made = {
        "_target_": "tests.test_settings.Own", "batch": 3, "depth": {"a": [1, None]},
        "of": {"_target_": "tests.test_settings.Foreign", "x": 1.5},
        "many": [{"_target_": "tests.test_settings.Foreign"}, None],
    }  # fmt: skip
    node = OmegaConf.create(made)
    assert settings(node, "pruning") == {
        "pruning": "Own", "pruning.class": "tests.test_settings.Own", "pruning.depth.a": [1, None],
        "pruning.of": "Foreign", "pruning.of.class": "tests.test_settings.Foreign", "pruning.of.x": 1.5,
        "pruning.many.0": "Foreign", "pruning.many.0.class": "tests.test_settings.Foreign",
        "pruning.many.1": None,
    }  # fmt: skip
    assert "batch" not in identity(node)
