"""What the pages say: their commands exist, and their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from dori.app.overrides import checked
from dori.app.verbs import VERBS
from dori.core.config import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
INLINE = re.compile(r"`(dori (?:-m )?[\w@/.+]+=[^`]*)`")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(page: Path) -> list[str]:
    """Every command line that overrides something, in blocks and within sentences."""
    text = page.read_text()
    blocks = [
        line.split("#")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    found = [line for line in blocks if re.match(r"dori (-m )?[\w@/.+]+=", line)]
    return [*found, *(" ".join(line.split()) for line in INLINE.findall(text))]


COMMANDS = {command: name(page) for page in PAGES for command in commands(page)}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{COMMANDS[command]}: {command[:60]}")
def test_a_command_is_accepted(command: str) -> None:
    words = re.sub(r"<[^>]*>", "somewhere", command.replace("…", "")).strip()
    checked(shlex.split(words)[1:])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_verb_is_one_of_doris(page: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    spans = re.findall(r"`(dori [^`]*)`", page.read_text())
    named = re.findall(r"^dori ([a-z]+)(?![\w=/@.-])", "\n".join([*blocks, *spans]), re.MULTILINE)
    assert set(named) <= VERBS.keys()


def test_there_are_commands_in_the_pages() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]*)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_site() -> None:
    places = (ROOT / "mkdocs.yml").read_text()
    missing = [name(page) for page in PAGES if page.parent.name != ROOT.name and page.parent != ROOT]
    assert [page for page in missing if page.removeprefix("docs/") not in places] == []
