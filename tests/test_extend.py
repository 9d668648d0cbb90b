"""docs/extend.md: its own code, in a package made of it, runs as dori's own options do."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from dori.app.findings import findings
from dori.app.overrides import checked, groups
from dori.core.config import ROOT, build, check_keys
from dori.core.errors import InputError
from dori.core.fingerprints import identity
from dori.steps.run import Run
from tests import tiny
from tests.defenses.conftest import SMALL

PAGE = (ROOT / "docs/extend.md").read_text()
BLOCKS = re.findall(r'```(?:python|yaml) title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL)
TRAINED = [
    *SMALL, "pruning=none", "evaluation.threshold=0.99999", "defense.surrogates.images=2",
    "defense.surrogates.pruning.ratio=0.1", "defense.surrogates.pruning.steps=4",
    "defense.surrogates.pruning.used=2", "defense.surrogates.threshold=0.9999",
    "defense.validation.ordinary=2",
]  # fmt: skip
Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page describes: a package, and its options."""
    folder = tmp_path_factory.mktemp("extend")
    for name, text in BLOCKS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "my_methods/__init__.py").write_text("")
    return folder


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ordinary pairs to train on, none of which is among those of the quality."""
    folder = tmp_path_factory.mktemp("training")
    return tiny.build_ordinary(folder, 6, 200)


@pytest.fixture
def words(
    work: Path, v_folder: Path, table: Path, ordinary: Path, measures: Path, monkeypatch: pytest.MonkeyPatch
) -> Words:
    """``words("pruning=widest")``: a tiny job's command line; the package is found, as by PYTHONPATH."""
    monkeypatch.syspath_prepend(str(work))

    def go(*more: str) -> list[str]:
        given = tiny.study_overrides(
            v_folder, table, ordinary, measures, f"cache={work}/cache", "pruning=none", "attack=none"
        )
        chosen = {word.partition("=")[0] for word in more}
        return [*(word for word in given if word.partition("=")[0] not in chosen), *more]

    return go


@pytest.fixture
def compose(words: Words, work: Path) -> Callable[..., DictConfig]:
    """The configuration of such a job, checked as the command checks it."""

    def go(*more: str) -> DictConfig:
        cfg = tiny.composed(
            *checked([*words(*more), "logger.save_dir=logs", f"hydra.searchpath=['file://{work}/conf']"])
        )
        check_keys(cfg)
        return cfg

    return go


def test_an_option_takes_two_files_and_a_study_a_folder_and_one() -> None:
    names = [Path(name) for name, _ in BLOCKS]
    options = {name: name.stem for name in names if name.suffix == ".yaml"}
    assert {option.parent.as_posix() for option in options} == {
        "conf/pruning", "conf/attack/start", "conf/defense", "conf/metrics", "conf/study",
    }  # fmt: skip
    for option, stem in options.items():
        code = [name for name in names if name.suffix == ".py" and stem in (*name.parts[-2:], name.stem)]
        study = option.parent.name == "study"
        assert {name.parent.name for name in code} == {stem if study else "my_methods"}
        assert study or len(code) == 1
    assert len(names) == 2 * (len(options) - 1) + 4  # the study's folder has three


def test_the_command_of_the_page_runs_what_it_adds(words: Words, work: Path) -> None:
    """A pruning method, a start, a guard and a metric in one job, as somebody would start it."""
    more = [
        "pruning=widest", "pruning.share=0.1", "attack=dori", "attack.steps=2", "attack.pairs=2",
        "attack/start=backwards", "defense=first_words", "metrics=brightness",
    ]  # fmt: skip
    command = [sys.executable, "-m", "dori", "--config-dir", "conf", "hydra.run.dir=job", *words(*more)]
    path = os.pathsep.join([".", str(ROOT)])
    done = subprocess.run(
        command, cwd=work, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((work / "job/rows.json").read_text())
    (row,) = (r for r in rows if r["kind"] == "verbatim" and r["setting"].endswith("+dori"))
    told = {
        "pruning": "widest", "pruning.share": 0.1, "pruning.class": "my_methods.widest.Widest",
        "start": "backwards", "defense": "first_words", "defense.count": 4, "metrics.brightness.floor": 0.0,
    }  # fmt: skip
    assert row["params"] == row["params"] | told
    assert 0 < row["metrics"]["brightness"]["value"] < 1
    assert "brightness" in (work / "job/table.md").read_text()


def test_a_loss_term_is_trained_with(compose: Callable[..., DictConfig], training: Path) -> None:
    cfg = compose("defense=reworded", f"data.training={training}", *TRAINED)
    run = Run.configured(cfg)
    outcome = build(cfg.study)(run)
    assert outcome.mitigated is not None and outcome.mitigated.name == "reworded"
    trained = next(r for r in outcome.rows if r["setting"] == "reworded")
    assert trained["params"]["defense.terms.reworded.pairs"] == 4


def test_a_study_returns_its_rows_and_what_they_tell(
    compose: Callable[..., DictConfig], tmp_path: Path
) -> None:
    cfg = compose(
        "study=saturation", "study.times=2", "pruning=random", "pruning.like=null", "pruning.ratio=0.1"
    )
    rows = build(cfg.study)(Run.configured(cfg)).rows
    assert {row["setting"] for row in rows} == {"original", "random"}
    assert all(row["params"]["study.times"] == 2 for row in rows)
    (finding,) = findings(rows)
    finding.write(tmp_path / finding.file)
    assert (tmp_path / "saturation.png").stat().st_size > 0
    assert "all of them" in str(finding.verdicts[0][1])


@pytest.mark.parametrize(("wrong", "nearest"), [
    (["pruning=widdest"], "widest"), (["pruning=widest", "pruning.shere=0.1"], "share"),
    (["metrics=brigtness"], "brightness"), (["study=saturation", "study.tims=2"], "times"),
    (["attack=dori", "attack/start=backward"], "backwards"),
    (["defense=first_words", "defense.cout=2"], "count"),
])  # fmt: skip
def test_what_is_misspelt_is_refused(
    compose: Callable[..., DictConfig], wrong: list[str], nearest: str
) -> None:
    with pytest.raises(InputError, match=nearest):
        compose(*wrong)


@pytest.mark.parametrize(("wrong", "must"), [
    (["pruning=widest", "pruning.share=much"], "must be"), (["pruning=widest", "pruning.share=2"], "share"),
    (["metrics=brightness", "metrics.brightness.floor=much"], "must be"),
])  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(
    compose: Callable[..., DictConfig], wrong: list[str], must: str
) -> None:
    with pytest.raises(InputError, match=must):
        Run.configured(compose(*wrong))


@pytest.mark.parametrize(("part", "choice", "file"), [
    ("pruning", "pruning=widest", "widest.py"), ("metrics", "metrics=brightness", "brightness.py"),
])  # fmt: skip
def test_its_code_is_in_the_fingerprints(
    compose: Callable[..., DictConfig], work: Path, part: str, choice: str, file: str
) -> None:
    from dori.core.code import code_of

    def found() -> object:
        code_of.cache_clear()
        return identity(compose(choice)[part])

    code = work / "my_methods" / file
    before, text = found(), code.read_text()
    code.write_text(text + "\n# changed\n")
    assert found() != before
    code.write_text(text)
    assert found() == before


@pytest.mark.parametrize("group", groups())
def test_every_group_takes_an_option_from_outside(group: str, tmp_path: Path) -> None:
    """One that begins with one of dori's own, in somebody's folder."""
    base = groups()[group][0]
    package = "# @package _global_\n" if group in ("experiments", "multirun_sweeps") else ""
    (tmp_path / group).mkdir(parents=True)
    (tmp_path / group / "mine.yaml").write_text(f"{package}defaults: [{base}, _self_]\n")
    words = checked([f"{group}=mine", "--config-dir", str(tmp_path)])
    assert words[0] == f"{group}=mine"
    with pytest.raises(InputError, match="mine"):
        checked([f"{group}=mime", "--config-dir", str(tmp_path)])


def test_a_package_carries_its_options(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(work / "conf", work / "my_methods/conf")
    monkeypatch.syspath_prepend(str(work))
    checked(["hydra.searchpath=[pkg://my_methods.conf]", "pruning=widest", "pruning.share=0.1"])


def test_several_metrics_are_chosen_at_once(compose: Callable[..., DictConfig]) -> None:
    cfg = compose("metrics=[brightness]")
    assert list(Run.configured(cfg).metrics) == ["brightness"]


def test_a_metric_of_the_wrong_shape_is_refused(compose: Callable[..., DictConfig], work: Path) -> None:
    (work / "my_methods/whole.py").write_text("def whole(images, prompts):\n    return images.mean()\n")
    cfg = compose("metrics=brightness")
    cfg.metrics.brightness = {"_target_": "my_methods.whole.whole", "_partial_": True}
    with pytest.raises(InputError, match=r"metrics\.brightness gave shape \(\), but must .* \(2,\)"):
        build(cfg.study)(Run.configured(cfg))
