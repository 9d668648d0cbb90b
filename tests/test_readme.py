"""The README's own words: its commands exist, and name files and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from dori.app.overrides import checked

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dori")])
def test_a_documented_command_is_accepted(command):
    words = re.sub(r"<[^>]*>", "somewhere", command)
    checked(shlex.split(words)[1:])


def test_two_commands_set_up_and_run_on_a_fresh_machine():
    assert len([c for c in COMMANDS if c.startswith("python3 -m venv")]) == 2


FOLDERS = re.findall(r"`((?:conf|dori|experiments|multirun_sweeps|benchmarks)/[\w/.]*)`", README)


@pytest.mark.parametrize("path", FOLDERS)
def test_a_documented_folder_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", re.findall(r"\]\((docs/[^)]*)\)", README))
def test_a_linked_file_exists(path):
    assert (ROOT / path).exists()
