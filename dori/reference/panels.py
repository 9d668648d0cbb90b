"""``python -m dori.reference.panels FOLDER ... --out PNG``: W&B's panels, drawn from offline runs.

The panels are those of :mod:`dori.app.workspace`; what a server would show of the runs that lie below the
folders is drawn with matplotlib, section by section.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.app.workspace import view
from dori.core.errors import InputError
from dori.reference.offline import Recorded, recorded
from dori.results.figures.style import INK, MITIGATED, QUIET, save, styled

COLOURS = (INK, *MITIGATED)


def draw(section: str, runs: Sequence[Recorded], path: Path) -> None:
    """The panels of a section that have something to show, side by side.

    Raises:
        InputError: there is no such section, or nothing in these runs that it shows.
    """
    sections: dict[str, list[Any]] = {each.name: list(each.panels) for each in view("nobody").sections}
    if section not in sections:
        raise InputError(f"no section {section!r}; there are: {', '.join(sections)}")
    kinds = {"BarPlot": _bars, "LinePlot": _lines, "ScatterPlot": _points}
    drawn = [(panel, kinds[type(panel).__name__]) for panel in sections[section] if shows(panel, runs)]
    if not drawn:
        raise InputError(f"these {len(runs)} runs have nothing that the section {section!r} shows")
    with styled():
        figure = Figure(figsize=(3.2 * len(drawn), 2.6), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (panel, kind) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
            kind(axes, panel, runs)
            axes.set_title(panel.title, fontsize=9, loc="left")
        save(figure, path)


def shows(panel: Any, runs: Sequence[Recorded]) -> bool:
    """Whether a run has what the panel shows."""
    if type(panel).__name__ == "LinePlot":
        return any(_curve(run, panel.x, name) for run in runs for name in panel.y)
    if type(panel).__name__ == "BarPlot":
        return any(name in run.summary for run in runs for name in panel.metrics)
    return any(None not in (_of(run, panel.x), _of(run, panel.y)) for run in runs)


def _bars(axes: Axes, panel: Any, runs: Sequence[Recorded]) -> None:
    (name,) = panel.metrics
    shown = [run for run in runs if name in run.summary]
    labels = [str(_of(run, panel.groupby)) if panel.groupby else run.name for run in shown]
    axes.barh(range(len(shown)), [run.summary[name] for run in shown], color=QUIET)
    first = axes is axes.figure.axes[0]  # beside it stand the same runs
    axes.set_yticks(range(len(shown)), labels if first else len(labels) * [""], fontsize=7)
    axes.set_xlim(panel.range_x)
    axes.invert_yaxis()


def _lines(axes: Axes, panel: Any, runs: Sequence[Recorded]) -> None:
    for colour, name in zip(COLOURS, panel.y, strict=False):
        for place, run in enumerate(runs):
            points = _curve(run, panel.x, name)
            axes.plot(*zip(*points, strict=True), color=colour, lw=1, marker=".", label=name * (not place))
    axes.set_xlabel(panel.x)
    axes.set_ylim(panel.range_y)
    _scaled(
        axes, panel, sorted({x for run in runs for name in panel.y for x, _ in _curve(run, panel.x, name)})
    )
    axes.legend(fontsize=7)


def _points(axes: Axes, panel: Any, runs: Sequence[Recorded]) -> None:
    shown = [run for run in runs if None not in (_of(run, panel.x), _of(run, panel.y))]
    axes.scatter([_of(run, panel.x) for run in shown], [_of(run, panel.y) for run in shown], color=INK, s=16)
    axes.set_xlabel(panel.x.name)
    _scaled(axes, panel, sorted({_of(run, panel.x) for run in shown}))


def _scaled(axes: Axes, panel: Any, places: Sequence[float]) -> None:
    """Logarithmic where the panel is, with a tick at each value that was swept."""
    if panel.log_x:
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()


def _curve(run: Recorded, x: str, y: str) -> list[tuple[float, float]]:
    return [(step[x], step[y]) for step in run.history if x in step and y in step]


def _of(run: Recorded, axis: Any) -> Any:
    """A setting or a figure; a setting's key has a part for each of its slashes, or stands as it is."""
    return (run.config if type(axis).__name__ == "Config" else run.summary).get(axis.name)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dori.reference.panels", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="of jobs or multiruns with offline runs")
    parser.add_argument("--section", required=True, help="of the view: 'Budgets of the attack'")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    given = parser.parse_args(arguments)
    files = [path for folder in given.folders for path in sorted(folder.rglob("run-*.wandb"))]
    if not files:
        raise InputError(f"no offline run lies below {', '.join(map(str, given.folders))}")
    draw(given.section, [recorded(path) for path in files], given.out)


if __name__ == "__main__":
    main()
