"""Markdown tables, and their places in the pages."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dori.reference import contract
from dori.reference.options import Option, Setting, default, options, top

PLACE = re.compile(r"(<!-- generated: (\S+)(?: (\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: list[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar within a cell is escaped."""
    rows = [head, [":--"] * len(head), *lines]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def option_table(group: str) -> str:
    """Every option of a group with what its file says of it, and its class where it has one."""
    found = options(group)
    columns = 3 if any(option.target for option in found) else 2
    lines = ([f"`{option.name}`", _about(option), _class(option)][:columns] for option in found)
    return table([f"`{group}=`", "what it is", "class"][:columns], lines)


def _class(option: Option) -> str:
    """Its last name: the whole one stands in the file."""
    return f"`{option.target.rpartition('.')[2]}`" if option.target else ""


def _about(option: Option) -> str:
    target, command = option.target or "", f"dori {option.group}={option.name}"
    about = option.about.removeprefix(command).strip()
    if target and about.startswith(f"{target};"):
        return about.partition("; ")[2]
    return about.replace(target, target.rsplit(".", 1)[-1], 1) if target else about


def setting_tables(group: str) -> str:
    """The settings of every option that has some, under its name."""
    parts = []
    for option in options(group):
        if settings := option.settings():
            parts.append(f"**`{group}={option.name}`**\n\n{setting_table(settings)}")
    return "\n".join(parts)


def setting_table(settings: list[Setting]) -> str:
    """Key, default and meaning."""
    lines = (
        [f"`{s.key}`", f"`{s.default}`" if s.default else "", s.meaning.replace("``", "`")] for s in settings
    )
    return table(["key", "default", "meaning"], lines)


def top_table(prefix: str = "") -> str:
    """The keys that belong to no group, or those of them that begin with ``prefix``."""
    return setting_table([setting for setting in top() if setting.key.startswith(prefix)])


def word_table(words: Mapping[str, str]) -> str:
    """What each name means; a pattern says itself which names it is about."""
    if words is contract.PATTERNS:
        lines = [text.rpartition("`: ")[::2] for text in words.values()]
        return table(["name", "meaning"], ([f"{names}`", meaning] for names, meaning in lines))
    return table(["name", "meaning"], ([f"`{name}`", text] for name, text in words.items()))


MAKERS: dict[str, Callable[..., str]] = {
    "options": option_table,
    "settings": setting_tables,
    "top": top_table,
    "default": lambda: setting_table(default()),
    "contract": lambda name: word_table(getattr(contract, name.upper())),
}


def filled(text: str) -> str:
    """A page with its generated parts made anew.

    Raises:
        KeyError: a place that names no maker.
    """

    def made(place: re.Match[str]) -> str:
        begin, maker, argument, end = place.groups()
        return f"{begin}\n{MAKERS[maker](*filter(None, [argument]))}\n{end}"

    return PLACE.sub(made, text)


def pages(folder: Path) -> list[Path]:
    """The pages in which something is generated."""
    return [page for page in sorted(folder.rglob("*.md")) if PLACE.search(page.read_text())]
