"""Blocks of a table set for the terminal (rich), for a README (Markdown) and for a paper (LaTeX)."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import Literal

import pandas as pd
from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from dori.results.finding import Finding
from dori.results.reading.block import Block
from dori.results.verdicts.questions import PAGE, Verdict

WIDTH = 110  # columns of the terminal that a table may take


def terminal(tables: list[Block], width: int = WIDTH) -> Group:
    """A renderable for ``rich``: blocks with the same columns in one table, so that they align."""
    parts: list[RichTable | Text] = []
    fitting = [part for block in tables for part in fitted(block, width)]
    for (columns, labels), group in groupby(fitting, key=lambda block: (block.columns, block.labels)):
        members = list(group)
        table = _empty(columns, labels)
        if not any(members[0].head):
            parts.append(Text(members[0].title, style="bold"))
        for block in members:
            table.add_section()
            if any(block.head):
                table.add_row(Text(block.head[0], style="bold"), Text(block.head[1], style="bold"))
            indent = "  " if any(block.head) else ""
            for first, *rest in block.lines:
                table.add_row(indent + first, *rest)
        parts += [table, Text()]
    return Group(*parts)


def fitted(block: Block, width: int = WIDTH) -> list[Block]:
    """The block; or parts of its columns, each beside the labels, where all would not fit."""
    count = block.labels
    wide = []
    for i, column in enumerate(zip(block.columns, *block.lines, strict=True)):
        # the title stands in the first two columns, and indents what is below it
        cells = [*column, block.head[i]] if i < len(block.head) else column
        words = [word for cell in cells for word in cell.split()] if _wraps(i, count) else cells
        indent = 2 if i == 0 and any(block.head) else 0
        wide.append(max(map(len, words), default=0) + indent + 2)  # a column's padding, and the box's
    groups, room = [list(range(count))], width - sum(wide[:count])
    for i in range(count, len(wide)):
        taken = sum(wide[k] for k in groups[-1][count:])
        if taken and taken + wide[i] > room:
            groups.append(list(range(count)))
        groups[-1].append(i)
    return [
        replace(
            block, columns=tuple(block.columns[i] for i in group),
            lines=tuple(tuple(line[i] for i in group) for line in block.lines),
            title=block.title + (" (continued)" if group is not groups[0] else ""),
        )
        for group in groups
    ]  # fmt: skip


def _wraps(index: int, labels: int) -> bool:
    """The second column may be broken between words, if it is words; figures never are."""
    return index == 1 and labels > 1


def _empty(columns: tuple[str, ...], labels: int) -> RichTable:
    table = RichTable(
        box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False, header_style="dim"
    )
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if index < labels else "right"
        table.add_column(name, justify=justify, no_wrap=not _wraps(index, labels))
    return table


def show(tables: list[Block], console: Console | None = None) -> None:
    """Print the blocks, at most :data:`WIDTH` columns wide; what a terminal cannot hold goes on below."""
    console = console or Console()
    width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    # rich would shorten cells to fit, and figures must never be cut
    wide = Console(
        file=console.file, width=WIDTH, force_terminal=console.is_terminal,
        no_color=console.no_color, highlight=False,
    )  # fmt: skip
    wide.print(terminal(tables, width))


def show_verdict(verdict: Verdict, console: Console, title: str = "") -> None:
    """The verdict first, then the figures that it rests on, then what limits it."""
    console.print(f"\n[bold]{title}{verdict.headline}.[/bold] {verdict.text}")
    if verdict.figures:
        show([verdict.figures], console)
    for note in verdict.notes:
        console.print(f"- {note}")


def verdict_markdown(verdict: Verdict, title: str = "") -> str:
    """The same for a README, with the page that says what the answers mean."""
    parts = [f"> **{title}{verdict.headline}.** {verdict.text}\n"]
    if verdict.figures:
        parts.append(markdown([verdict.figures]))
    parts += ["".join(f"- {note}\n" for note in verdict.notes)] if verdict.notes else []
    return "\n".join([*parts, f"What the answers mean: [{PAGE}]({PAGE})\n"])


def markdown(tables: list[Block]) -> str:
    """GitHub's tables, one per block, each under its title in bold where it has one."""
    parts = []
    for block in tables:
        rule = [":--" if i < block.labels else "--:" for i in range(len(block.columns))]
        lines = [block.columns, rule, *block.lines]
        text = "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)
        title = f"**{block.title}**\n\n" if block.title else ""
        parts.append(f"{title}{text}\n")
    return "\n".join(parts)


def page(tables: list[Block], found: Iterable[Finding], answers: Iterable[Verdict]) -> str:
    """What the terminal shows of a job or multirun, in Markdown: to paste into an issue or a README."""
    parts = [markdown(tables)]
    for finding in found:
        parts.append(markdown(finding.tables))
        parts += [verdict_markdown(verdict, f"{finding.title}. ") for _, verdict in finding.verdicts]
    return "\n".join([*parts, *(verdict_markdown(verdict) for verdict in answers)])


def csv(tables: list[Block]) -> str:
    """One table of all blocks: the first column says which of them a line is of."""
    frames = [pd.DataFrame(block.lines, columns=pd.Index(block.columns)) for block in tables]
    named = [frame.assign(table=block.title) for block, frame in zip(tables, frames, strict=True)]
    whole = pd.concat(named, ignore_index=True)
    return whole[["table", *(name for name in whole if name != "table")]].to_csv(index=False)


def latex(tables: list[Block]) -> str:
    """A ``table`` for booktabs per block."""
    return "\n".join(_latex(block) for block in tables)


def _latex(block: Block) -> str:
    frame = pd.DataFrame(block.lines, columns=pd.Index([_tex(name) for name in block.columns]))
    frame = frame.map(_tex)
    align = "".join("l" if i < block.labels else "r" for i in range(len(block.columns)))
    return frame.style.hide(axis="index").to_latex(
        hrules=True, column_format=align, caption=_tex(block.title), position_float="centering"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _tex(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    for sign, command in (("±", "$\\pm$"), ("−", "$-$"), ("–", "--"), ("ε", "$\\varepsilon$")):
        text = text.replace(sign, command)
    return text
