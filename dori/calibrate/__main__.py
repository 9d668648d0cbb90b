"""``python -m dori.calibrate``: the tables of docs/statistics.md, made anew."""

import argparse
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from dori.calibrate import exact, simulated, verdicts
from dori.results.reading.block import Block
from dori.results.reading.margins import Margins
from dori.results.tables.render import markdown

START, END = "<!-- python -m dori.calibrate -->", "<!-- end -->"


def coverage_of_rates(sizes: Sequence[int] = exact.SIZES) -> Block:
    """Over the whole grid, by going through all results."""
    lines = []
    others = {10: 5, 12: 6, 16: 8, 20: 10, 32: 48, 48: 48}
    for n in sizes:
        grids = [exact.one_rate(n), exact.paired_rates(n), exact.two_rates(n, others.get(n, n))]
        cells = [f"{min(grid):.3f} / {np.mean(grid):.3f} / {max(grid[1:-1]):.3f}" for grid in grids]
        wrong = exact.false_above(n), exact.false_within(n, Margins().rate)
        lines.append((str(n), *cells, *(f"{x:.3f}" for x in wrong)))
    columns = ("n", "one rate", "same prompts", "other prompts", "false above", "false within")
    title = (
        "Rates and their differences: lowest / mean / highest coverage of 95 % intervals; errors of answers"
    )
    return Block(title, columns, tuple(lines), 1)


def coverage_simulated(repeats: int) -> Block:
    """One line for each interval and world, one column for each n."""
    lines: dict[tuple[str, str], dict[int, float]] = {}
    parts = (simulated.single, simulated.shares, simulated.over_images, simulated.overlaps,
             simulated.distances, simulated.others)  # fmt: skip
    for name, world, n, value in chain.from_iterable(part(repeats) for part in parts):
        lines.setdefault((name, world), {})[n] = value
    told = tuple(
        (name, world, "; ".join(f"{n}: {value:.2f}" for n, value in found.items()))
        for (name, world), found in lines.items()
    )
    return Block("Other intervals: coverage, by n", ("interval", "world", "n: coverage"), told, 3)


def shares_of(title: str, found: Iterable[tuple[str, int, dict[str, float]]]) -> Block:
    """One line for each world and n, one column for each code."""
    found = list(found)
    codes = list(found[0][2])
    lines = tuple((label, str(n), *(f"{shares[code]:.2f}" for code in codes)) for label, n, shares in found)
    return Block(title, ("truth", "n", *codes), lines, 1)


def needed() -> Block:
    """How many targets an answer takes, by margin."""
    found = list(verdicts.enough())
    columns = ("answer", *(f"margin {margin}" for margin in found[0][1]))
    lines = tuple((label, *map(str, counts.values())) for label, counts in found)
    return Block("The fewest targets for which an answer can be given", columns, lines, 1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dori.calibrate", description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000, help="of every simulation")
    parser.add_argument("--page", type=Path, help=f"file in which what stands from {START} on is replaced")
    given = parser.parse_args()
    tables = [
        coverage_of_rates(), coverage_simulated(given.repeats), needed(),
        shares_of("The main verdict", verdicts.main(given.repeats)),
        shares_of("Removed?", verdicts.removal(given.repeats)),
        shares_of("Six budgets", verdicts.budgets(max(1, given.repeats // 2))),
    ]  # fmt: skip
    text = markdown(tables)
    print(text)
    if given.page:
        whole = f"{START}\n\n{text}\n{END}"
        page = given.page.read_text()
        given.page.write_text(re.sub(f"{START}.*{END}", lambda _: whole, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
