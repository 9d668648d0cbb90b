"""What the locality study's figures share: a column's width, lines told apart without colour, bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import INK, LINE, QUIET, REPLICA
from dori.results.reading.estimate import Estimate
from dori.studies.locality.telling.words import BESIDE, CHANCE, DIFFERENT, ONE, OTHERS, OWN

LINES = {  # colour, line, marker
    ONE: (REPLICA, "-", "o"), DIFFERENT: (INK, "--", "s"), BESIDE[0]: ("#0072b2", ":", "^"),
    BESIDE[1]: (QUIET, "-", "v"), BESIDE[2]: (QUIET, "--", "D"),
    OWN: (REPLICA, "-", "o"), OTHERS: (INK, "--", "s"), CHANCE: (QUIET, "--", "D"),
}  # fmt: skip
WIDTH = 4.6  # inches, of which a paper's column shows three quarters: no letter below 7.5 points


def column(height: float) -> Figure:
    """A figure as wide as the report's column; ``height`` in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_bars(axes: Axes, labels: Sequence[str], figures: Sequence[Estimate | None]) -> None:
    """A bar with its interval for each figure; none where it is missing."""
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


def draw_line(axes: Axes, name: str, points: Sequence[tuple[float, Estimate]]) -> None:
    """A line with its intervals, in the colour of ``name``."""
    if not points:
        return
    colour, style, marker = LINES[name]
    x = [at for at, _ in points]
    axes.plot(x, [f.value for _, f in points], color=colour, linestyle=style, marker=marker, markersize=4,
              linewidth=1.4, label=name)  # fmt: skip
    bounds = [(f.value if f.low is None else f.low, f.value if f.high is None else f.high) for _, f in points]
    axes.fill_between(x, *np.array(bounds).T, color=colour, alpha=0.15, linewidth=0)
