"""``dori list`` and ``dori show``, and what a word is that is neither a verb nor an override."""

from contextlib import suppress

import pytest
from omegaconf import OmegaConf

from dori.app.line import CommandLine
from dori.app.overrides import groups
from dori.app.verbs import VERBS, listing, showing, verb
from dori.core.errors import InputError


def test_every_verb_is_there_and_a_misspelt_one_is_answered_with_the_nearest():
    assert all(verb([name]) for name in VERBS)
    assert verb(["seed=1"]) is None and verb(["-m"]) is None and verb([]) is None
    with pytest.raises(InputError, match="unknown command 'lst'; did you mean 'list'"):
        verb(["lst"])


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_says_what_it_is_and_does_nothing_else_when_asked(name, capsys):
    with suppress(SystemExit):  # argparse's
        verb([name, "--help"])(["--help"])
    assert f"dori {name}" in capsys.readouterr().out


def test_every_option_of_every_group_says_what_it_is(capsys):
    for group, options in groups().items():
        assert listing.command([group]) == 0
        said = capsys.readouterr().out
        assert all(option in said for option in options)
        assert all(listing.description(group, option, []) for option in options)


def test_options_in_a_folder_of_one_s_own_are_listed_too(tmp_path, capsys):
    (tmp_path / "attack").mkdir()
    (tmp_path / "attack" / "mine.yaml").write_text("# mine.Attack; what I tried\nname: mine\n")
    listing.command(["attack", f"--config-dir={tmp_path}"])
    assert "what I tried" in capsys.readouterr().out
    with pytest.raises(InputError, match="unknown group 'atack'; did you mean 'attack'"):
        listing.command(["atack"])


def test_a_command_line_is_shown_by_what_it_changes(capsys):
    showing.command(["experiments=table1", "seed=3"])
    said = capsys.readouterr().out
    assert "7 jobs:" in said and "pruning = none, random, nemo, " in said
    assert "seed = 3" in said and "attack.steps" not in said
    showing.command(["attack.steps=3"])
    assert "attack.steps = 3" in capsys.readouterr().out


def test_the_jobs_of_a_command_line_are_hydra_s():
    assert CommandLine.read(["seed=3"]).jobs == [["seed=3"]]
    line = CommandLine.read(["-m", "seed=0,1", "pruning=none,wanda", "attack.steps=3"])
    assert len(line.jobs) == 4 and ["seed=1", "pruning=none", "attack.steps=3"] in line.jobs
    with line.job(line.jobs[3]) as cfg:
        assert (cfg.seed, cfg.pruning.name) == (1, "wanda")
        assert OmegaConf.missing_keys(cfg) == set()
    swept = CommandLine.read(["multirun_sweeps=pruning_ratio", "pruning.ratio=0.1,0.2"])
    assert len(swept.jobs) == 2
    with pytest.raises(InputError, match="seed=0,1: several values make several jobs: say -m"):
        _ = CommandLine.read(["seed=0,1"]).jobs
