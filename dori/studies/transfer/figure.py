"""The figure of the transfer study: who finds a trigger, and who draws from it."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import INK, save, styled
from dori.results.reading.comparison import kinds_of
from dori.results.reading.estimate import MISSING, number
from dori.results.reading.rows import Rows
from dori.studies.transfer.verdict import NOBODY, models, rate


def write_transfer(path: Path, rows: Rows) -> None:
    """Write the PNG: the matrix of the first kind of target."""
    names = models(rows)
    sources = [NOBODY, *names]
    figures = [[rate(rows, found, drawn) for drawn in names] for found in sources]
    with styled():
        figure = Figure(figsize=(1.6 + 1.1 * len(names), 0.9 + 0.55 * len(sources)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        values = [[cell.value if cell else float("nan") for cell in line] for line in figures]
        axes.imshow(values, cmap="Oranges", vmin=0, vmax=1.4, aspect="auto")
        for y, line in enumerate(figures):
            for x, cell in enumerate(line):
                text = number(cell.value) if cell else MISSING
                axes.text(x, y, text, ha="center", va="center", color=INK)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(sources)), sources)
        axes.set_xlabel(f"drawn by (memorization rate, {kinds_of(rows)[0]})")
        axes.set_ylabel("trigger found on")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        save(figure, path)
