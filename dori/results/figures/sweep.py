"""The curve of a sweep: memorization before and after the attack, and what it costs in quality."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.core.errors import InputError
from dori.results.figures.curves import memorization_curves, name_of, places_of, points, quality_curves
from dori.results.figures.style import INK, LINE, save, styled
from dori.results.reading.comparison import Comparison, comparisons, varying
from dori.results.reading.rows import Rows

LOG_SPAN = 8  # the largest value over the smallest from which an axis is logarithmic


def write_sweep(path: Path, rows: Rows, x: str | None = None) -> None:
    """Write a PNG of MR (with its 95 % interval) and FID over the swept parameter ``x``.

    Where more than one parameter differs, there is one column of panels per value of the others.
    Raises InputError where nothing was swept, or ``x`` was not.
    """
    swept = varying(rows)
    if not swept or (x and x not in swept):
        found = ", ".join(swept) or "nothing"
        raise InputError(f"cannot plot over {x or 'a parameter'}: {found} differs between the rows")
    name = x or swept[0]
    groups: dict[str, list[Comparison]] = {}
    for c in sorted(comparisons(rows), key=lambda c: [str(c.params.get(key)) for key in swept]):
        others = ", ".join(f"{key} = {name_of(c.params.get(key))}" for key in swept if key != name)
        groups.setdefault(others, []).append(c)
    places = places_of([c.params.get(name) for group in groups.values() for c in group])
    with styled():
        figure = Figure(figsize=(max(7.4, 3.6 * len(groups)), 6.8), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            2, len(groups), sharex=True, sharey="row", squeeze=False, height_ratios=[2.2, 1]
        )
        for column, (title, group) in enumerate(groups.items()):
            grid[0, column].set_title(title, fontsize=9)
            _memorization(grid[0, column], group, name, places)
            _quality(grid[1, column], group, name, places)
            _axis(grid[1, column], name, places)
        first = next(iter(groups.values()))
        grid[0, 0].set_ylabel(f"MR, {first[0].kind} targets (n = {_count(first)})")
        grid[1, 0].set_ylabel("FID")
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=8,
            handlelength=3.2, columnspacing=2,
        )  # fmt: skip
        save(figure, path)


def _memorization(axes: Axes, found: Sequence[Comparison], x: str, places: dict[str, float]) -> None:
    for curve in memorization_curves(found):
        path = points(curve, "MR", found, x, places)
        if not path:
            continue
        at = [place for place, _ in path]
        axes.plot(
            at, [figure.value for _, figure in path], color=curve.colour, linestyle=curve.style,
            marker=curve.marker, markersize=5, label=curve.label, linewidth=1.6,
            markerfacecolor="white" if curve.marker == "o" else curve.colour,
        )  # fmt: skip
        bounds = [(f.low, f.high) for _, f in path if f.low is not None and f.high is not None]
        if curve.style != ":" and len(bounds) == len(path):
            low, high = zip(*bounds, strict=True)
            axes.fill_between(at, low, high, color=curve.colour, alpha=0.12, linewidth=0)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(axis="y", color=LINE, linewidth=0.6)


def _quality(axes: Axes, found: Sequence[Comparison], x: str, places: dict[str, float]) -> None:
    for curve in quality_curves(found):
        path = points(curve, "FID", found, x, places)
        axes.plot(
            [place for place, _ in path], [figure.value for _, figure in path], color=curve.colour,
            marker=curve.marker, markersize=5, linewidth=1.6,
            markerfacecolor="white" if curve.marker == "o" else curve.colour,
        )  # fmt: skip
    original = found[0].figure("original", "FID", "ordinary")
    if original:
        limit = found[0].margins.fid
        for times, label in ((1, "original"), (limit, f"{limit:g} × original")):
            axes.axhline(original.value * times, color=INK, linestyle=":", linewidth=1, zorder=0)
            axes.annotate(
                label, (1, original.value * times), xycoords=("axes fraction", "data"), fontsize=7,
                xytext=(4, 0), textcoords="offset points", va="center",
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=LINE, linewidth=0.6)


def _axis(axes: Axes, name: str, places: dict[str, float]) -> None:
    axes.set_xlabel(name)
    labels = {place: label for label, place in sorted(places.items(), key=lambda item: item[1])}
    at = list(labels)
    if at[0] > 0 and at[-1] / at[0] >= LOG_SPAN:
        axes.set_xscale("log")
    axes.set_xticks(at, list(labels.values()))
    axes.minorticks_off()


def _count(found: Sequence[Comparison]) -> str:
    figures = [figure for c in found if (figure := c.figure(c.mitigation, "MR"))]
    return "/".join(str(n) for n in sorted({f.n for f in figures if f.n is not None})) or "unknown"
