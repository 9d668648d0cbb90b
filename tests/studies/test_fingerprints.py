"""What a fingerprint knows of the program: each stage is run and watched, each module edited in a copy."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import pytest

from dori.core import code
from dori.core.config import PACKAGE, build
from dori.core.stages import Info, Result, Stages
from dori.steps.run import Run
from dori.steps.soundness import check_models
from tests import tiny
from tests.defenses.conftest import SMALL
from tests.studies.test_defending import SURROGATES
from tests.studies.test_locality import SMALL as LOCALITY

pytestmark = pytest.mark.slow
ASKED = ("dori.core.stages", "dori.core.fingerprints", "dori.diffusion.pretrained")
# the machinery that runs within a stage where that asks for another one; pairs count by their pixels
BESIDE = {"dori.core.stages", "dori.data.folder"}
TRAINED = [
    "attack.stop=replication", "attack.check_every=1", "defense=adversarial", *SMALL, *SURROGATES,
    "pruning=wanda",
]  # fmt: skip
JOBS = {
    "trained": TRAINED,
    "guarded": ["pruning=none", "defense=embedding_adjustment", "attack=hard_prompt", "attack.steps=1"],
    "locality": list(LOCALITY),
}


# what no stage of the first job reaches
UNREACHED = [
    "app/main.py", "core/config.py", "results/reading/rows.py", "app/report.py", "core/stages.py",
    "steps/measure.py", "steps/run.py", "data/folder.py", "pruning/nemo/nemo.py",
    "attacks/spaces/hard_prompt.py", "defenses/guards/sampling.py", "defenses/terms/erasing.py",
    "minnow/pictures.py", "studies/locality/analysis/members.py", "metrics/kid.py",
    "studies/mitigation/study.py",
]  # fmt: skip
# by module: the stages that reach it, or that are made of such ones
REACHED = {
    "core/errors.py": "",
    "pruning/masks.py": "^(images|attack|features|training|mask)",
    "pruning/wanda.py": "^(mask|training)|: (random|wanda|wanda_3x)(, ordinary captions)?$",
    "attacks/solver.py": r"^(attack|training)|\+dori$",
    "metrics/sscd_orig.py": r"measure|^(screening|attack|training)|\+dori$",
    "minnow/descriptor.py": r"measure|^(screening|attack|training)|\+dori$",
    "data/targets.py": "^(?!sound)",
    "steps/draw.py": "^(images|features|training)",
    "defenses/training/module.py": "^training",
    "diffusion/checks/sound.py": "^sound",
}
STAGES = {"sound", "images", "mask", "attack", "originals", "features", "reference", "screening", "training"}


@dataclass
class Seen:
    """A stage: what its fingerprint was made of, and the modules of dori that ran while it was computed."""

    label: str
    result: Result
    inputs: Info
    module: str
    ran: set[str]


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Seen]]:
    """All stages within, in their order."""
    together, seen, within = Stages.together, [], [set()]

    def note(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("dori."):
            within[-1].add(module)

    def watch(
        self: Stages, name: str, inputs: dict[str, Info], compute: Callable, *how: Any, **told: Any
    ) -> list[Result]:
        ran: set[str] = set()

        @wraps(compute)
        def traced(folders: dict[str, Path]) -> list[Info]:
            within.append(ran)
            sys.setprofile(note)
            try:
                return compute(folders)
            finally:
                within.pop()
                sys.setprofile(note if len(within) > 2 else None)

        within.append(set())  # what looks for a stage within another one
        found = together(self, name, inputs, traced, *how, **told)
        within.pop()
        seen.extend(
            Seen(f"{name}: {label}", result, inputs[label], code.module_of(compute), ran - BESIDE)
            for label, result in zip(inputs, found, strict=True)
        )
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Stages, "together", watch)
        yield seen


@pytest.fixture(scope="module")
def job(
    epsilon_folder: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:  # fmt: skip
    """``job(cache, *words)`` does it."""
    table = tiny.build_table(tmp_path_factory.mktemp("six"), (*("verbatim",) * 4, *tiny.KINDS))
    folder = tmp_path_factory.mktemp("training")
    for i in range(6):
        tiny.Image.fromarray(tiny.picture(200 + i)).save(folder / f"{i}.png")
    pairs = pd.DataFrame({"caption": tiny.prompts(6, 30), "image": [f"{i}.png" for i in range(6)]})
    pairs.to_csv(folder / "training.csv", index=False)

    def do(cache: Path, *words: str) -> None:
        given = [f"cache={cache}", f"data.training={folder}/training.csv", *words]
        run = Run.configured(
            tiny.composed(*tiny.study_overrides(epsilon_folder, table, ordinary, measures, *given))
        )
        check_models(run.stages, run.diffusion, run.diffusion.twin)
        build(run.cfg.study)(run)

    return do


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", JOBS)
def test_whatever_runs_in_a_stage_is_in_its_fingerprint(
    job: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ASKED:
        monkeypatch.setattr(import_module(module), "code_of", lambda name: f"code of {name}")
    with watched(monkeypatch) as seen:
        job(tmp_path, *JOBS[name])
    assert len({each.label for each in seen}) > 6
    lacking = {}
    for each in seen:
        assert each.ran or each.result.cached  # by a stage before it, which was watched
        named = [
            text.removeprefix("code of ") for text in strings(each.inputs) if text.startswith("code of ")
        ]
        reached = {module for name in (each.module, *named) for module in code.reached(name)}
        if each.ran - reached:
            lacking[each.label] = each.ran - reached
    assert not lacking


def test_a_foreign_part_counts_with_what_it_imports(
    job: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_words.py").write_text("MORE = 0\n")
    (tmp_path / "their_guards.py").write_text(
        "import their_words\nfrom dori.defenses.guards.sampling import RandomTokens\n"
        "class Guard(RandomTokens):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["defense=random_tokens", "defense._target_=their_guards.Guard", "pruning=none", "attack.steps=1"]
    job(tmp_path / "cache", *words)
    (tmp_path / "their_words.py").write_text("MORE = 1\n")
    code.code_of.cache_clear()
    with watched(monkeypatch) as again:
        job(tmp_path / "cache", *words)
    anew = {each.label for each in again if not each.result.cached}
    assert anew == {each.label for each in again if "random_tokens" in each.label}
    assert "attack: attack: dori on random_tokens" in anew


def test_an_edit_changes_the_stages_that_reach_it_and_no_others(
    job: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each module of a copy in turn; nothing is computed again but fingerprints."""
    copy, file = tmp_path / "dori", code._file
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("weights", "__pycache__"))

    def of_the_copy(module: str) -> Path | None:
        found = file(module)
        return copy / found.relative_to(PACKAGE) if found and found.is_relative_to(PACKAGE) else found

    monkeypatch.setattr(code, "_file", of_the_copy)
    with watched(monkeypatch) as first:
        job(tmp_path / "cache", *TRAINED)

    def again(*names: str) -> set[str]:
        """The stages whose fingerprints change with an edit of the modules; none is computed."""
        files = {name: copy / name for name in names}
        before = {name: file.read_bytes() for name, file in files.items()}
        for name, file in files.items():
            file.write_bytes(before[name] + b"\nEDITED = True\n")
        code.code_of.cache_clear()
        left, changed = {label: list(found) for label, found in by_label.items()}, set()

        def found(self: Stages, name: str, keys: dict[str, str], locks: Any) -> dict[str, tuple[str, Info]]:
            results = {}
            for label, key in keys.items():
                each = left[f"{name}: {label}"].pop(0)
                changed.update({each.label} if each.result.fingerprint != key else ())
                results[label] = (str(each.result.folder), each.result.info)
            return results

        with monkeypatch.context() as patched:
            patched.setattr(Stages, "_found", found)
            job(tmp_path / "cache", *TRAINED)
        for name, file in files.items():
            file.write_bytes(before[name])
        return changed

    by_label: dict[str, list[Seen]] = {}
    for each in first:
        by_label.setdefault(each.label, []).append(each)
    assert again() == set()
    assert again(*UNREACHED) == set()
    everything = again("core/errors.py")  # but for what only another stage asks for
    assert {label.partition(":")[0] for label in everything} == STAGES
    for name, stages in REACHED.items():
        assert again(name) == {label for label in everything if re.search(stages, label)}, name
    needed = _needed(first)
    modules = sorted(set().union(*needed.values()))
    assert len(modules) > 40
    for module in modules:
        must = {label for label, wanted in needed.items() if module in wanted} & everything
        path = Path(*module.split(".")[1:])
        name = path / "__init__.py" if (copy / path).is_dir() else path.with_suffix(".py")
        assert must <= again(str(name)), module


def _needed(seen: list[Seen]) -> dict[str, set[str]]:
    """The modules that ran while a stage was computed, or while what it was made of was."""
    made: dict[str, set[str]] = {}
    needed: dict[str, set[str]] = {}
    for each in seen:
        whole = each.ran.union(*(made[text] for text in strings(each.inputs) if text in made))
        made[each.result.fingerprint] = whole | made.get(each.result.fingerprint, set())
        needed[each.label] = needed.get(each.label, set()) | whole
    return needed
