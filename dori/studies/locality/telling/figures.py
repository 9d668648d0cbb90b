"""The first two figures of the locality study: where triggers lie, and what they activate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from dori.results.figures.style import LINE, save, styled
from dori.results.reading.estimate import estimate
from dori.results.reading.rows import Rows
from dori.studies.locality.telling.rows import figure_of, path
from dori.studies.locality.telling.style import column, draw_bars, draw_line
from dori.studies.locality.telling.weight_figures import write_cuts, write_weights
from dori.studies.locality.telling.words import BESIDE, DIFFERENT, GROUPS, ONE

# dark to light, so that they differ in grey too; with the marker, twelve images can be told apart
IMAGES = ("#22252a", "#0072b2", "#c8501e", "#009e73", "#b8860b", "#56b4e9", "#cc79a7", "#8b9099")
MARKERS = "osD^vP"


def write_space(path_: Path, rows: Rows) -> None:
    """Starts and ends on two maps, distances of pairs, and the way between triggers."""
    with styled():
        figure = column(6.4)
        places = figure.add_gridspec(3, 2, height_ratios=(1.2, 1, 1))
        maps = [figure.add_subplot(places[0, 0]), figure.add_subplot(places[0, 1])]
        bars, line = figure.add_subplot(places[1, :]), figure.add_subplot(places[2, :])
        row = next((row for row in rows if row["kind"] == "map"), None)
        for axes, (name, points) in zip(maps, (row or {}).get("points", {}).items(), strict=False):
            _map(axes, name, points)
        draw_bars(bars, GROUPS, [figure_of(rows, "embeddings", group, "L2") for group in GROUPS])
        bars.set_xlabel("L2 distance of embeddings")
        for group in (ONE, DIFFERENT):
            draw_line(line, group, path(rows, group))
        line.set_ylim(-0.03, 1.03)
        line.set(xlabel="place on the line between two triggers", ylabel="share with the image")
        line.legend(fontsize=8)
        save(figure, path_)


def _map(axes: Axes, name: str, points: Sequence[Sequence[float]]) -> None:
    table = np.array(points, dtype=float)
    for image in np.unique(table[:, 2]).astype(int):
        colour = IMAGES[image % len(IMAGES)]
        marker = MARKERS[image % len(MARKERS)]
        for end in (False, True):
            x, y = table[(table[:, 2] == image) & (table[:, 3] == end), :2].T
            axes.scatter(
                x, y, s=16, marker=marker, linewidth=0.8, edgecolor=colour,
                facecolor=colour if end else "none",
            )  # fmt: skip
    axes.set_title(name, loc="left", fontsize=9, fontweight="bold")
    axes.set(xticks=[], yticks=[])
    axes.spines[["left", "bottom"]].set_color(LINE)


def write_activations(path_: Path, rows: Rows) -> None:
    """A panel per set of layers, a line per group of pairs."""
    members = {row["setting"]: row for row in rows if row["kind"] == "activations"}
    names = [n.split("/", 1)[1] for n in members[ONE]["metrics"] if n.startswith("Relative_L2/")]
    panels = {
        "NeMo's layers (values)": [name for name in names if name.endswith("to_v")],
        "Wanda's layers (feed-forward)": [name for name in names if not name.endswith("to_v")],
    }
    with styled():
        figure = column(5.2)
        grid = figure.subplots(2, 1)
        for axes, (title, layers) in zip(grid, panels.items(), strict=True):
            for group in (ONE, DIFFERENT, *BESIDE):
                found = [(float(i), f) for i, layer in enumerate(layers)
                         if (f := estimate(members.get(group), f"Relative_L2/{layer}"))]  # fmt: skip
                draw_line(axes, group, found)
            axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
            axes.set_xticks(range(len(layers)), [_short(layer) for layer in layers], rotation=90, fontsize=8)
            axes.set_ylim(bottom=0)
            axes.set_ylabel("L2 by the layer's size")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8)
        save(figure, path_)


def _short(layer: str) -> str:
    """``down_blocks.0.attentions.1...`` -> ``down 0.1``."""
    block, *rest = layer.split(".")
    numbers = [part for part in rest if part.isdigit()]
    where = f"{numbers[0]}.{numbers[1]}" if not block.startswith("mid") else numbers[0]
    return f"{block.split('_')[0]} {where}"


WRITERS = {
    "embeddings": write_space, "activations": write_activations, "weights": write_weights, "cuts": write_cuts,
}  # fmt: skip
