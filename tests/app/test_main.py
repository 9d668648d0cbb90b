"""The command: bad input is answered with one sentence and exit code 2, before any work."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dori
from dori.app import main as app

Answer = Callable[..., str]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Answer:
    """``answer("model=x")``: what the command prints before it exits with 2."""

    def works(*arguments: object) -> None:
        raise AssertionError("a stage was begun")

    def go(*words: str, folder: Path | None = tmp_path / "out") -> str:
        # Hydra's own logging would take the handlers of later tests away
        for module in ("hydra.core.utils", "hydra._internal.hydra"):
            monkeypatch.setattr(f"{module}.configure_log", lambda *arguments, **named: None)
        own = [f"cache={tmp_path}/cache", *([f"hydra.run.dir={folder}"] if folder else [])]
        monkeypatch.setattr(sys, "argv", ["dori", *words, *own])
        monkeypatch.setattr("dori.core.stages.Stages.run", works)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        with pytest.raises(SystemExit) as exit_:
            app.main()
        assert exit_.value.code == 2
        told = capsys.readouterr().err
        return told[told.index("dori: ") :].strip()

    return go


def test_a_misspelt_word_is_answered_before_hydra_starts(answer: Answer, tmp_path: Path) -> None:
    assert answer("atack.steps=3") == "dori: unknown key 'atack'; did you mean 'attack'?"
    assert not (tmp_path / "out").exists()


def test_what_is_refused_leaves_no_folder(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one that was named, or in which something lies."""
    words = ["data.targets=1000"]
    monkeypatch.chdir(tmp_path)
    answer(*words, folder=None)
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "mine").touch()
    answer(*words, folder=None)
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["mine"]
    answer(*words)
    assert (tmp_path / "out" / ".hydra").is_dir()


def test_a_model_that_is_not_there_is_named(answer: Answer, table: Path) -> None:
    words = ["model=pretrained", "model.path=/no/where", f"data.path={table}", "evaluation=minnow"]
    text = answer(*words)
    assert text == "dori: model.path '/no/where' does not exist; give a folder or a hub id"


def test_a_missing_value_is_asked_for(answer: Answer) -> None:
    text = answer("model=pretrained", "evaluation=minnow", "data=minnow")
    assert text == "dori: missing value: give model.path=..."


def test_a_misspelt_key_that_was_added_is_found(answer: Answer) -> None:
    """As an experiment file would add it."""
    assert answer("+atack.steps=3") == "dori: unknown key 'atack'; did you mean 'attack'?"
    assert answer("+attack.stpes=3") == "dori: unknown key in attack 'stpes'; did you mean 'steps'?"


@pytest.mark.parametrize("word", ["name=${nope}", "name=${seed.x}", "seed=${oc.env:NO_SUCH_VARIABLE}"])
def test_what_cannot_be_resolved_is_one_sentence(answer: Answer, word: str) -> None:
    assert "\n" not in answer(word)


def test_the_version_is_doris(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["dori", "--version"])
    app.main()
    assert capsys.readouterr().out == f"dori {dori.__version__}\n"


def test_what_hydra_refuses_is_one_sentence(answer: Answer) -> None:
    text = answer("experiments=table2", "hydra.sweeper.params.attack=dori,paraphrase")
    assert text.startswith("dori: Sweeping over Hydra's configuration is not supported")


def test_every_job_of_a_multirun_is_known_to_be_right_before_the_first_begins(
    answer: Answer, tmp_path: Path
) -> None:
    small = ["data.targets=1", "data.ordinary=1", f"hydra.sweep.dir={tmp_path}/sweep"]
    text = answer("-m", "pruning.ratio=0.1,abc,2", "seed=0,1", *small)
    assert text == (
        "dori: 4 of 6 jobs cannot run, so none was begun:\n"
        "  job 2, 3: pruning.ratio is 'abc', but must be float\n"
        "  job 4, 5: pruning.ratio must lie between 0 and 1, but is 2"
    )
    assert answer("-m", *small, "data.targets=0").startswith("dori: data.targets must be 1 to 32")
    assert not list((tmp_path / "sweep").glob("*/.hydra"))


def test_a_folder_that_cannot_be_written_is_named(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = answer(folder=tmp_path / "file" / "out")
    assert text.startswith(f"dori: cannot write to {tmp_path}/file")
    assert "choose another folder" in text


def test_a_job_says_what_ran_when_in_its_log_and_breaks_no_terminal(tmp_path: Path, table: Path) -> None:
    """In a terminal that is not UTF-8; no bars in a file, and no words of Hydra's before a refusal."""
    folder, environment = tmp_path / "job", {**os.environ, "PYTHONIOENCODING": "latin-1"}

    def go(*words: str) -> subprocess.CompletedProcess[str]:
        small = ["data.targets=1", "data.ordinary=0", "model.sampling_steps=1", "model.images_per_prompt=1"]
        command = [
            sys.executable,
            "-m",
            "dori.app.main",
            *small,
            "pruning=none",
            "attack=none",
            f"cache={tmp_path}/cache",
        ]
        run = [*command, f"hydra.run.dir={folder}", *words]
        return subprocess.run(run, capture_output=True, text=True, env=environment, encoding="latin-1")

    first, again = go(), go()
    assert (first.returncode, again.returncode) == (0, 0), first.stderr[-2000:]
    lines = (folder / "dori.log").read_text().splitlines()
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d check: minnow: begun$", lines[0])
    assert sum(line.endswith("images: original: in the cache") for line in lines) == 1
    assert any(re.search(r"images: twin: done in \d+\.\d s$", line) for line in lines)
    assert "images: original: begun" in first.stdout
    assert "\r" not in first.stdout + first.stderr
    refused = go("data.targets=0")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("dori: data.targets must be") and refused.stderr.count("\n") == 1
