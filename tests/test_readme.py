"""What of the README others rely on: two commands for a fresh machine, and folders that exist."""

import re

import pytest

from dori.core.config import ROOT

README = (ROOT / "README.md").read_text()


def test_two_commands_set_up_and_run_on_a_fresh_machine() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("&& .venv/bin/dori")


@pytest.mark.parametrize("path", re.findall(r"`((?:conf|dori|experiments|benchmarks)/[\w/.]*)`", README))
def test_a_documented_folder_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 110
