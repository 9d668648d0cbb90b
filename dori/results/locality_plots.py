"""The four figures of the locality study: readable at a column's width, told apart without colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.estimate import Estimate, estimate, number
from dori.results.locality_rows import cuts, figure_of, methods, path
from dori.results.locality_words import BESIDE, CHANCE, DIFFERENT, GROUPS, ONE, OTHERS, OWN, USUAL
from dori.results.rows import Rows
from dori.results.style import INK, LINE, QUIET, REPLICA, save, styled

# dark to light, so that they differ in grey too; with the marker, twelve images can be told apart
IMAGES = ("#22252a", "#0072b2", "#c8501e", "#009e73", "#b8860b", "#56b4e9", "#cc79a7", "#8b9099")
MARKERS = "osD^vP"
LINES = {  # colour, line, marker
    ONE: (REPLICA, "-", "o"), DIFFERENT: (INK, "--", "s"), BESIDE[0]: ("#0072b2", ":", "^"),
    BESIDE[1]: (QUIET, "-", "v"), BESIDE[2]: (QUIET, "--", "D"),
    OWN: (REPLICA, "-", "o"), OTHERS: (INK, "--", "s"), CHANCE: (QUIET, "--", "D"),
}  # fmt: skip
LAYERS = {"values": "value layers", "feed_forward": "feed-forward layers"}
WIDTH = 4.6  # inches, of which a paper's column shows three quarters: no letter below 7.5 points


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_space(path_: Path, rows: Rows) -> None:
    """Starts and ends on two maps, distances of pairs, and the way between triggers."""
    with styled():
        figure = _figure(6.4)
        places = figure.add_gridspec(3, 2, height_ratios=(1.2, 1, 1))
        maps = [figure.add_subplot(places[0, 0]), figure.add_subplot(places[0, 1])]
        bars, line = figure.add_subplot(places[1, :]), figure.add_subplot(places[2, :])
        row = next((row for row in rows if row["kind"] == "map"), None)
        for axes, (name, points) in zip(maps, (row or {}).get("points", {}).items(), strict=False):
            _map(axes, name, points)
        _bars(bars, GROUPS, [figure_of(rows, "embeddings", group, "L2") for group in GROUPS])
        bars.set_xlabel("L2 distance of embeddings")
        for group in (ONE, DIFFERENT):
            _line(line, group, path(rows, group))
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


def _bars(axes: Axes, labels: Sequence[str], figures: Sequence[Estimate | None]) -> None:
    for place, figure in enumerate(figures):
        axes.axhline(place, color=LINE, linewidth=0.6, zorder=0)
        if figure is None:
            axes.annotate("none", (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8,
                          color=QUIET, backgroundcolor="white")  # fmt: skip
            continue
        colour = REPLICA if place == 0 else INK
        low = figure.value if figure.low is None else figure.low
        high = figure.value if figure.high is None else figure.high
        axes.plot([low, high], [place, place], color=colour, linewidth=1.6)
        axes.plot([figure.value], [place], "o", color=colour, markersize=4.5)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)


def _line(axes: Axes, name: str, points: Sequence[tuple[float, Estimate]], label: str | None = None) -> None:
    if not points:
        return
    colour, style, marker = LINES[name]
    x = [at for at, _ in points]
    axes.plot(x, [f.value for _, f in points], color=colour, linestyle=style, marker=marker, markersize=4,
              linewidth=1.4, label=label or name)  # fmt: skip
    bounds = [(f.value if f.low is None else f.low, f.value if f.high is None else f.high) for _, f in points]
    axes.fill_between(x, *np.array(bounds).T, color=colour, alpha=0.15, linewidth=0)


def write_activations(path_: Path, rows: Rows) -> None:
    """A panel per set of layers, a line per group of pairs."""
    members = {row["setting"]: row for row in rows if row["kind"] == "activations"}
    names = [n.split("/", 1)[1] for n in members[ONE]["metrics"] if n.startswith("Relative_L2/")]
    panels = {
        "NeMo's layers (values)": [name for name in names if name.endswith("to_v")],
        "Wanda's layers (feed-forward)": [name for name in names if not name.endswith("to_v")],
    }
    with styled():
        figure = _figure(5.2)
        grid = figure.subplots(2, 1)
        for axes, (title, layers) in zip(grid, panels.items(), strict=True):
            for group in (ONE, DIFFERENT, *BESIDE):
                found = [(float(i), f) for i, layer in enumerate(layers)
                         if (f := estimate(members.get(group), f"Relative_L2/{layer}"))]  # fmt: skip
                _line(axes, group, found)
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


def write_weights(path_: Path, rows: Rows) -> None:
    """Overlap by groups of pairs for each method, and the criteria against each other."""
    found = methods(rows, "weights")
    with styled():
        figure = _figure(2.6 + 1.5 * len(found))
        places = figure.add_gridspec(len(found) + 1, 2, height_ratios=[*[1.5] * len(found), 2.6])
        grid = [figure.add_subplot(places[i, :]) for i in range(len(found))]
        for axes, method in zip(grid, found, strict=True):
            groups = (ONE, DIFFERENT, *BESIDE)
            names = [f"{method}: {group}" for group in groups]
            _bars(axes, groups, [figure_of(rows, "weights", name, "IoU") for name in names])
            for place, name in enumerate(names):
                if chance := figure_of(rows, "weights", name, "IoU_chance"):
                    axes.plot([chance.value] * 2, [place - 0.35, place + 0.35], color=QUIET, linewidth=1.6)
            axes.set_title(method, loc="left", fontsize=9, fontweight="bold")
            axes.set_xlim(0, 1)
        grid[-1].set_xlabel("IoU of what is selected")
        panels = [figure.add_subplot(places[-1, i]) for i in range(2)]
        for axes, some in zip(panels, LAYERS, strict=True):
            _matrix(axes, rows, some)
        save(figure, path_)


def _matrix(axes: Axes, rows: Rows, some: str) -> None:
    members = {tuple(row["setting"].split(" and ")): row for row in rows if row["kind"] == "criteria"}
    names = list(dict.fromkeys(name for pair in members for name in pair))
    table = np.full((len(names), len(names)), np.nan)
    for (a, b), row in members.items():
        own, chance = (estimate(row, f"{metric}/{some}") for metric in ("IoU", "IoU_chance"))
        if own is None or chance is None:
            continue
        i, j = sorted((names.index(a), names.index(b)), reverse=True)
        table[i, j] = own.value
        colour = "white" if own.value > 0.5 else INK
        text = f"{number(own.value)}\n({number(chance.value)})"
        axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.imshow(table, cmap="Greys", vmin=0, vmax=1.1, aspect="auto")
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=35)
    axes.set_yticks(range(len(names)), names if some == "values" else [""] * len(names), fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(LAYERS[some], loc="left", fontsize=9, fontweight="bold")


def write_cuts(path_: Path, rows: Rows) -> None:
    """The curve, a panel per method."""
    found, ks = methods(rows, "cuts"), cuts(rows)
    with styled():
        figure = _figure(3.3)
        grid = figure.subplots(1, len(found), sharey=True, squeeze=False)
        for axes, method in zip(grid[0], found, strict=True):
            before = figure_of(rows, "cuts", f"{method}: no pruning", "Left/0")
            for what in (OWN, OTHERS, USUAL, CHANCE):
                name = f"{method}: {what}"
                points = [(k, figure_of(rows, "cuts", name, f"Left/{k}") if k else before) for k in ks]
                _line(axes, what, [(float(k), figure) for k, figure in points if figure])
            used = [
                (k, f.value) for k in ks if (f := figure_of(rows, "cuts", f"{method}: {OWN}", f"Used/{k}"))
            ]
            if used:
                axes.plot(
                    *zip(*used, strict=True), ":x", color=REPLICA, markersize=5, label="the k themselves"
                )
            axes.set_title(method, loc="left", fontsize=9, fontweight="bold")
            axes.set_xticks(ks)
            axes.set_ylim(-0.03, 1.03)
            axes.set_xlabel("triggers pruned by, k")
        grid[0, 0].set_ylabel("share that still replicate")
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8
        )
        save(figure, path_)


WRITERS = {
    "embeddings": write_space, "activations": write_activations, "weights": write_weights, "cuts": write_cuts,
}  # fmt: skip
