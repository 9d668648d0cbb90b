"""The cache: what a fingerprint depends on, and that nothing damaged is ever used."""

import json
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dori.core.code import code_of
from dori.core.fingerprints import fingerprint
from dori.core.stages import Info, Result, Stages

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Where the leaves are."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [place for key, item in items for place in places(item, (*path, key))]
    return [path]


def replaced(value: Any, path: tuple, leaf: Any) -> Any:
    if not path:
        return leaf
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], leaf)
    return copy


@given(values, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_a_fingerprint(value: Any, rng: random.Random) -> None:
    assert fingerprint(shuffled(value, rng)) == fingerprint(value)


@given(values, st.data())
def test_any_changed_leaf_changes_a_fingerprint(value: Any, data: st.DataObject) -> None:
    found = places(value)
    assume(found)
    path, leaf = data.draw(st.sampled_from(found)), data.draw(leaves)
    other = replaced(value, path, leaf)
    # 1, 1.0 and True are equal in Python; as settings they are not
    assume(json.dumps(other, sort_keys=True) != json.dumps(value, sort_keys=True))
    assert fingerprint(other) != fingerprint(value)


@given(st.dictionaries(st.text(), leaves, min_size=1, max_size=4), st.text(), leaves)
def test_a_key_more_or_less_changes_a_fingerprint(value: dict, key: str, leaf: Any) -> None:
    assume(key not in value)
    more = {**value, key: leaf}
    assert fingerprint(more) != fingerprint(value)
    assert len({fingerprint(v) for v in (more, [more], list(more.items()))}) == 3


@pytest.mark.parametrize("value", [object(), {"a": Path("b")}, float("nan"), [float("inf")], {1, 2}])
def test_what_has_no_fingerprint_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        fingerprint(value)


def writes(text: str = "content") -> Callable[[Path], Info]:
    def compute(folder: Path) -> Info:
        (folder / "result.txt").write_text(text)
        return {"counted": 3}

    return compute


def refuses(folder: Path) -> Info:
    raise AssertionError("computed although it is in the cache")


def test_a_second_call_computes_nothing(tmp_path: Path) -> None:
    first = Stages(tmp_path).run("stage", {"a": 1}, writes())
    second = Stages(tmp_path).run("stage", {"a": 1}, refuses)
    assert (first.cached, second.cached) == (False, True)
    assert second.info == first.info == {"counted": 3}
    assert (second.folder / "result.txt").read_text() == "content"


@pytest.mark.parametrize(("name", "inputs", "shared"), [
    ("other", {"a": 1, "b": [2]}, {"c": 3}),
    ("stage", {"a": 1, "b": [4]}, {"c": 3}),
    ("stage", {"a": 1}, {"c": 3}),
    ("stage", {"a": 1, "b": [2]}, {"c": 4}),
])  # fmt: skip
def test_a_result_is_not_reused_when_anything_differs(
    tmp_path: Path, name: str, inputs: Info, shared: Info
) -> None:
    first = Stages(tmp_path, {"c": 3}).run("stage", {"a": 1, "b": [2]}, writes())
    second = Stages(tmp_path, shared).run(name, inputs, writes())
    assert second.fingerprint != first.fingerprint
    assert not second.cached
    again = Stages(tmp_path, {"c": 3}).run("stage", {"b": [2], "a": 1}, refuses, "label")
    assert again.cached


@pytest.mark.parametrize("step", ["one_step", "several_steps"])
def test_a_result_is_not_reused_when_the_code_that_computes_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The module of ``compute``, not that of who calls it, and whatever it imports."""

    def found() -> Result:
        code_of.cache_clear()
        stages, module = Stages(tmp_path / "cache"), import_module(step)
        if step == "several_steps":
            return stages.together("stage", {"one": {}}, module.several)[0]
        return stages.run("stage", {}, partial(module.compute, text="found"))

    (tmp_path / f"{step}_numbers.py").write_text("ONE = 1\n")
    (tmp_path / f"{step}.py").write_text(
        f"from {step}_numbers import ONE\n"
        "def compute(folder, text):\n    return {text: ONE}\n"
        "def several(folders):\n    return [compute(folder, 'found') for folder in folders.values()]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, again = found(), found()
    (tmp_path / f"{step}_numbers.py").write_text("ONE = 2\n")
    assert (first.cached, again.cached, found().cached) == (False, True, False)


def spoil_file(folder: Path) -> None:
    (folder / "result.txt").write_text("contenu")


def cut_file(folder: Path) -> None:
    (folder / "result.txt").write_text("")


def lose_file(folder: Path) -> None:
    (folder / "result.txt").unlink()


def add_file(folder: Path) -> None:
    (folder / "other.txt").write_text("")


def lose_marker(folder: Path) -> None:
    (folder / "done.json").unlink()


def cut_marker(folder: Path) -> None:
    text = (folder / "done.json").read_text()
    (folder / "done.json").write_text(text[: len(text) // 2])


def empty_marker(folder: Path) -> None:
    (folder / "done.json").write_text("[]")


@pytest.mark.parametrize(
    "damage", [spoil_file, cut_file, lose_file, add_file, lose_marker, cut_marker, empty_marker]
)
def test_a_damaged_entry_is_computed_again_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    first = Stages(tmp_path).run("stage", {}, writes())
    damage(first.folder)
    with caplog.at_level(logging.WARNING):
        again = Stages(tmp_path).run("stage", {}, writes())
    assert not again.cached
    assert f"cache entry {first.folder} is damaged" in caplog.text
    assert (again.folder / "result.txt").read_text() == "content"
    assert sorted(p.name for p in again.folder.iterdir()) == ["done.json", "result.txt"]
    assert Stages(tmp_path).run("stage", {}, refuses).cached


def test_a_killed_attempt_is_gone_on_with(tmp_path: Path) -> None:
    def dies(folder: Path) -> Info:
        (folder / "part-1").write_text("whole")
        (folder / "part-2.tmp").write_text("ha")
        raise KeyboardInterrupt

    def goes_on(folder: Path) -> Info:
        assert (folder / "part-1").read_text() == "whole"
        (folder / "part-2").write_text("half")
        return {}

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).run("stage", {}, dies)
    assert not list(tmp_path.glob("stage/*/done.json"))
    result = Stages(tmp_path).run("stage", {}, goes_on)
    assert sorted(p.name for p in result.folder.iterdir()) == ["done.json", "part-1", "part-2"]
    assert not list(tmp_path.rglob("*.partial"))
    assert Stages(tmp_path).run("stage", {}, refuses).cached


@pytest.mark.parametrize("calls", [1, 2])
def test_a_run_killed_while_it_marks_a_stage_done_leaves_a_good_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Before ``done.json`` has its name, and between that and the folder's own name."""
    replace, left = os.replace, [calls]

    def dies(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", dies)
        with pytest.raises(KeyboardInterrupt):
            Stages(tmp_path).run("stage", {}, writes())
    assert not Stages(tmp_path).run("stage", {}, writes()).cached
    assert Stages(tmp_path).run("stage", {}, refuses).cached


def test_results_are_listed_in_order_under_their_labels(tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    found = [stages.run("stage", {"a": a}, writes(), label) for a, label in ((1, ""), (2, "second"))]
    assert stages.results == found
    assert [result.name for result in found] == ["stage", "second"]
    assert all(isinstance(result, Result) and result.seconds >= 0 for result in found)


PROCESS = """
import sys, time
from pathlib import Path
from dori.core.stages import Stages
root, me, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def compute(folder):
    with (root / "computed").open("a") as file:
        file.write(me)
    # long enough for the other one to come by while this one is at work
    while not (root / other).exists():
        time.sleep(0.01)
    time.sleep(0.3)
    (folder / "result").write_text(me)
    return {}

(root / me).touch()
result = Stages(root / "cache").run("stage", {}, compute)
print((result.folder / "result").read_text())
"""


def test_two_processes_compute_a_stage_once(tmp_path: Path) -> None:
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    command = [sys.executable, str(script), str(tmp_path)]
    processes = [
        subprocess.Popen([*command, *names], stdout=subprocess.PIPE, text=True)
        for names in (("a", "b"), ("b", "a"))
    ]
    outputs = [process.communicate()[0].strip() for process in processes]
    computed = (tmp_path / "computed").read_text()
    assert len(computed) == 1
    assert outputs == [computed, computed]


def test_several_results_of_a_stage_are_computed_together_and_kept_apart(tmp_path: Path) -> None:
    asked = []

    def compute(folders: dict[str, Path]) -> list[Info]:
        asked.append(list(folders))
        for label, folder in folders.items():
            (folder / "result").write_text(label)
        return [{"label": label} for label in folders]

    def together(*labels: str) -> list[Result]:
        inputs = {label: {"of": label} for label in labels}
        return Stages(tmp_path).together("attack", inputs, compute)

    together("b")
    found = together("a", "b", "c")
    assert asked == [["b"], ["a", "c"]]
    assert [(r.name, r.info["label"], r.cached) for r in found] == [
        ("a", "a", False), ("b", "b", True), ("c", "c", False),
    ]  # fmt: skip
    assert [(result.folder / "result").read_text() for result in found] == ["a", "b", "c"]
    # the same entry as of the stage alone
    alone = Stages(tmp_path).run("attack", {"of": "a"}, lambda folder: {}, "another label")
    assert (alone.cached, alone.fingerprint) == (True, found[0].fingerprint)
