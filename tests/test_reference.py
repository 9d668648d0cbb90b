"""The generated parts of docs/: up to date, whole, and each setting of ours with a meaning."""

import re
from pathlib import Path

import pytest

from dori.app.overrides import groups
from dori.reference.__main__ import DOCS
from dori.reference.options import options
from dori.reference.pages import filled, pages, table

WHOLE = sorted(group for group in groups() if group not in ("experiments", "multirun_sweeps"))


@pytest.mark.parametrize("page", pages(DOCS), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_is_up_to_date(page: Path) -> None:
    assert filled(page.read_text()) == page.read_text(), "python -m dori.reference"


def test_every_option_of_every_group_is_on_a_page() -> None:
    text = "".join(page.read_text() for page in pages(DOCS))
    missing = [
        f"{group}={name}" for group in groups() for name in groups()[group] if f"| `{name}` |" not in text
    ]
    assert not missing


@pytest.mark.parametrize("group", WHOLE)
def test_a_group_has_its_tables(group: str) -> None:
    text = "".join(page.read_text() for page in pages(DOCS))
    assert f"<!-- generated: options {group} -->" in text
    has_settings = any(option.settings() for option in options(group))
    assert (f"<!-- generated: settings {group} -->" in text) == has_settings


@pytest.mark.parametrize("group", WHOLE)
def test_every_setting_says_what_it_means(group: str) -> None:
    """By a comment in its file, or by the docstring of what it is given to."""
    assert [s.key for option in options(group) for s in option.settings() if not s.meaning] == []


def test_a_page_keeps_what_somebody_wrote() -> None:
    text = "before\n<!-- generated: options pruning -->\nold\n<!-- end -->\nbehind\n"
    made = filled(text)
    assert made.startswith("before\n") and made.endswith("\nbehind\n") and "old" not in made
    assert re.search(r"\| `wanda` \| subspace pruning, arXiv 2406.18566 \| `Wanda` \|", made)


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(KeyError):
        filled("<!-- generated: nothing -->\n<!-- end -->")


def test_a_bar_within_a_cell_makes_no_cell() -> None:
    assert table(["a"], [["|w|"]]).splitlines()[2] == r"| \|w\| |"
