"""The last two figures of the locality study: what methods select, and pruning by some triggers."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from dori.results.figures.style import INK, QUIET, REPLICA, save, styled
from dori.results.reading.estimate import estimate, number
from dori.results.reading.rows import Rows
from dori.studies.locality.telling.rows import cuts, figure_of, methods
from dori.studies.locality.telling.style import column, draw_bars, draw_line
from dori.studies.locality.telling.words import BESIDE, CHANCE, DIFFERENT, ONE, OTHERS, OWN, USUAL

LAYERS = {"values": "value layers", "feed_forward": "feed-forward layers"}


def write_weights(path_: Path, rows: Rows) -> None:
    """Overlap by groups of pairs for each method, and the criteria against each other."""
    found = methods(rows, "weights")
    with styled():
        figure = column(2.6 + 1.5 * len(found))
        places = figure.add_gridspec(len(found) + 1, 2, height_ratios=[*[1.5] * len(found), 2.6])
        grid = [figure.add_subplot(places[i, :]) for i in range(len(found))]
        for axes, method in zip(grid, found, strict=True):
            groups = (ONE, DIFFERENT, *BESIDE)
            names = [f"{method}: {group}" for group in groups]
            draw_bars(axes, groups, [figure_of(rows, "weights", name, "IoU") for name in names])
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
        figure = column(3.3)
        grid = figure.subplots(1, len(found), sharey=True, squeeze=False)
        for axes, method in zip(grid[0], found, strict=True):
            before = figure_of(rows, "cuts", f"{method}: no pruning", "Left/0")
            for what in (OWN, OTHERS, USUAL, CHANCE):
                name = f"{method}: {what}"
                points = [(k, figure_of(rows, "cuts", name, f"Left/{k}") if k else before) for k in ks]
                draw_line(axes, what, [(float(k), figure) for k, figure in points if figure])
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
