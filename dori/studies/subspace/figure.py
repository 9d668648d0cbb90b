"""The figure of the subspace study: overlap of masks, and masks swapped."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import LINE, QUIET, REPLICA, save, styled
from dori.results.reading.estimate import Estimate
from dori.results.reading.rows import Rows
from dori.studies.subspace.verdict import figure_of, settings


def write_subspace(path: Path, rows: Rows) -> None:
    """Write the PNG: overlaps left, memorization rates right."""
    pairs = [row["setting"] for row in rows if row["kind"] == "masks"]
    kind = next(row["kind"] for row in rows if row["kind"] != "masks")
    with styled():
        figure = Figure(figsize=(8, 2.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        _marks(left, pairs, [figure_of(rows, name, "IoU") for name in pairs])
        for place, name in enumerate(pairs):
            if chance := figure_of(rows, name, "IoU_chance"):
                left.plot([chance.value] * 2, [place - 0.3, place + 0.3], color=QUIET, linewidth=1.5)
        left.set_xlabel("IoU of masks")
        names = settings(rows)
        _marks(right, [n.replace("_", " ") for n in names], [figure_of(rows, n, "MR", kind) for n in names])
        right.set_xlabel(f"memorization rate, {kind}")
        save(figure, path)


def _marks(axes: Axes, labels: Sequence[str], figures: Sequence[Estimate | None]) -> None:
    for place, figure in enumerate(figures):
        axes.axhline(place, color=LINE, linewidth=0.6, zorder=0)
        if figure is None:
            continue
        low = figure.value if figure.low is None else figure.low
        high = figure.value if figure.high is None else figure.high
        axes.plot([low, high], [place, place], color=REPLICA, linewidth=1.2)
        axes.plot([figure.value], [place], "o", color=REPLICA, markersize=4)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, 1)
