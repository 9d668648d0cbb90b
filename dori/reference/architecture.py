"""The house as its imports draw it: ``python -m dori.reference.architecture [CHECKOUT ...] [--picture PNG]``.

A room is a folder of the package, with all below it; files beside the folders are one more. Imports count
wherever they stand in a file, those that only type checkers see aside.
"""

import argparse
import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.core.config import ROOT
from dori.results.figures.style import INK, LINE, QUIET, REPLICA, save, styled

TOP = "(top)"  # files beside the rooms


@dataclass(frozen=True)
class House:
    """The package ``dori`` of a checkout: its files, and who imports whom."""

    root: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """By the dotted name of the module, all but the package itself and its ``__main__``."""
        found = {}
        for path in sorted((self.root / "dori").rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return {name: path for name, path in found.items() if name not in ("dori", "dori.__main__")}

    @cached_property
    def imports(self) -> nx.DiGraph:
        """The files, and which of them imports which."""
        graph = nx.DiGraph()
        graph.add_nodes_from(self.files)
        for name, path in self.files.items():
            graph.add_edges_from((name, other) for other in self._imported(path) if other != name)
        return graph

    @cached_property
    def rooms(self) -> nx.DiGraph:
        """Rooms with their ``lines``, and which imports from which."""
        lines: Counter[str] = Counter()
        for name, path in self.files.items():
            lines[self.room(name)] += len(path.read_text().splitlines())
        graph = nx.DiGraph()
        for room, count in sorted(lines.items()):
            graph.add_node(room, lines=count)
        pairs = ((self.room(one), self.room(other)) for one, other in self.imports.edges)
        graph.add_edges_from((one, other) for one, other in pairs if one != other)
        return graph

    def room(self, name: str) -> str:
        """The folder of a module; files beside the folders share one."""
        inside = self.files[name].relative_to(self.root / "dori").parts
        return inside[0] if len(inside) > 1 else TOP

    def _imported(self, path: Path) -> Iterator[str]:
        for node in _statements(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in self.files else node.module for name in inside
                            if name in self.files or node.module in self.files)  # fmt: skip


def circles(graph: nx.DiGraph) -> list[list[str]]:
    """Nodes that reach themselves by way of one another, each group sorted."""
    return sorted(sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _statements(child)


def order(graph: nx.DiGraph) -> list[str]:
    """Each room after those that it imports from, as far as there are no circles."""
    whole = nx.condensation(graph)
    places = list(nx.topological_sort(whole.reverse()))
    return [room for place in places for room in sorted(whole.nodes[place]["members"])]


def facts(house: House) -> dict[str, str]:
    """What a table says of a house."""
    lines = nx.get_node_attributes(house.rooms, "lines")
    whole, largest = sum(lines.values()), max(lines, key=lines.__getitem__)
    return {
        "rooms": f"{len(lines)}",
        "arrows between rooms": f"{house.rooms.number_of_edges()}",
        "rooms that lie in circles": f"{sum(map(len, circles(house.rooms)))}",
        "files that lie in circles": f"{sum(map(len, circles(house.imports)))}",
        "largest room": f"`{largest}`, {lines[largest] / whole:.0%} of {whole:,} lines",
        "longest file": f"{max(len(path.read_text().splitlines()) for path in house.files.values())} lines",
    }


def table(houses: Sequence[House]) -> str:
    """A column for each house, as Markdown."""
    columns = [facts(house) for house in houses]
    lines = [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]]
    return "\n".join(["|" + " |" * (len(houses) + 1), "| --- |" + " --: |" * len(houses), *lines])


def draw(houses: Sequence[House], path: Path) -> None:
    """A matrix for each house: how many files of a room (its line) are imported from (the column) by it."""
    with styled():
        figure = Figure(figsize=(5.6 * len(houses), 5.4), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, house in zip(figure.subplots(1, len(houses), squeeze=False)[0], houses, strict=True):
            _matrix(axes, house)
        save(figure, path)


def _matrix(axes: Axes, house: House) -> None:
    rooms = order(house.rooms)
    counts = Counter((house.room(one), house.room(other)) for one, other in house.imports.edges)
    for y, one in enumerate(rooms):
        axes.axhline(y, color=LINE, linewidth=0.6, zorder=0)
        for x, other in enumerate(rooms):
            if x != y and (count := counts[one, other]):
                up = x > y  # against the order
                colour, weight = (REPLICA, "bold") if up else (INK, "normal")
                axes.text(x, y, str(count), color=colour, weight=weight, ha="center", va="center", fontsize=8)
    axes.plot([-0.5, len(rooms) - 0.5], [-0.5, len(rooms) - 0.5], color=QUIET, linewidth=0.8)
    axes.set_xticks(range(len(rooms)), rooms, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rooms)), rooms)
    axes.set_xlim(-0.5, len(rooms) - 0.5)
    axes.set_ylim(len(rooms) - 0.5, -0.5)
    axes.set_ylabel("imports")
    axes.set_xlabel("from")
    axes.tick_params(length=0)
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)


def main(arguments: list[str] | None = None) -> None:
    """Prints the table of some checkouts, by default of this one."""
    parser = argparse.ArgumentParser(prog="python -m dori.reference.architecture", description=__doc__)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT])
    parser.add_argument("--picture", type=Path, help="a PNG to write")
    given = parser.parse_args(arguments)
    houses = [House(root) for root in given.checkouts]
    print(table(houses))
    if given.picture:
        draw(houses, given.picture)


if __name__ == "__main__":
    main()
