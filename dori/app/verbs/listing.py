"""``dori list [GROUP …]``: what there is to choose."""

import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dori.app.line import CommandLine
from dori.app.overrides import groups
from dori.core.config import CONF, ROOT
from dori.core.errors import unknown

WHOLE = ("experiments", "multirun_sweeps")  # of these one option is a whole command line


def command(arguments: list[str]) -> int:
    """All groups; or every option of those that are named, with what its file says first."""
    named = [word for word in arguments if not word.startswith("-") and "=" not in word]
    own = CommandLine.read([word for word in arguments if word not in named]).folders
    known = groups(own)
    for group in named:
        if group not in known:
            raise unknown("group", group, list(known))
    console = Console(highlight=False)
    for group in named or WHOLE:
        console.print(f"[bold]{group}[/bold]")
        console.print(_options(group, known[group], own))
    if not named:
        console.print("[bold]groups[/bold]")
        console.print(_table([(g, ", ".join(options)) for g, options in known.items() if g not in WHOLE]))
        console.print("dori list GROUP says what its options are, dori show GROUP=OPTION what one changes")
    return 0


def _options(group: str, options: list[str], own: list[Path]) -> Table:
    return _table([(option, description(group, option, own)) for option in options])


def _table(lines: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
    table.add_column(no_wrap=True)
    for name, said in lines:
        table.add_row(name, said)
    return table


def description(group: str, option: str, own: list[Path]) -> str:
    """What the first comment of an option's file says, without the class or command that it names."""
    paths = (root / group / f"{option}.yaml" for root in (*own, CONF, ROOT))
    text = next(path for path in paths if path.exists()).read_text()
    said = re.search(r"^# (?!@package)(.*)$", text, re.MULTILINE)
    return re.sub(r"^(dori \S+=\S+ +|[\w.]+; )", "", said[1]) if said else ""
