"""The figure of a budget sweep: MR of memorized images, of the twin, of controls, and displacement."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dori.results.budget.injection import Curve, Point
from dori.results.budget.lines import label
from dori.results.figures.curves import name_of
from dori.results.figures.style import INK, LINE, MITIGATED, SETTINGS, save, styled
from dori.results.reading.comparison import split
from dori.results.reading.estimate import Estimate

MARKS = {"wanda": "o", "nemo": "s", "random": "X"}
OTHERS = "^vPD*"
CONTROLS = {"unseen": (0, (4, 2)), "seen": (0, (1, 1.2))}
APART = 0.05  # of the room between two budgets, from one line to the next
NONE = "none"  # the place on the axis that has no attack
Line = list[tuple[float, Estimate]]


def write_budget(path: Path, found: Sequence[Curve]) -> None:
    """Write a PNG with a column of panels per choice of what else was swept, a line per mitigation.

    Solid: memorized images in the mitigated models. Dashed: in the twin, and controls.
    """
    columns: dict[str, list[Curve]] = {}
    for curve in found:
        columns.setdefault(label(curve).partition(", ")[2], []).append(curve)
    places = places_of([point.budget for curve in found for point in curve.points])
    looks = _looks(found)
    with styled():
        figure = Figure(figsize=(max(6.8, 3.9 * len(columns)), 8.2), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            3, len(columns), sharex=True, sharey="row", squeeze=False, height_ratios=[2, 1.3, 1.3]
        )
        for panels, (title, group) in zip(grid.T, columns.items(), strict=True):
            panels[0].set_title(title, fontsize=9)
            _rates(panels[0], group, places, looks)
            _controls(panels[1], group, places, looks)
            _moved(panels[2], group, places, looks)
            _axis(panels[2], found[0].axis, places)
            _injection(panels, group, places)
        names = ("MR, " + found[0].kind, "MR, controls", "displacement")
        for axes, name in zip(grid[:, 0], names, strict=True):
            axes.set_ylabel(name)
        grid[2, 0].set_ylim(bottom=0)
        for axes in grid.flat:
            axes.grid(axis="y", color=LINE, linewidth=0.6)
        handles = {
            name: handle
            for axes in grid.flat
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside upper left", ncols=3, fontsize=8,
            handlelength=3.4, columnspacing=2,
        )  # fmt: skip
        save(figure, path)


def places_of(budgets: Sequence[float]) -> dict[float, float]:
    """Where each budget stands: in line, as budgets that grow by factors do; zero at no attack."""
    above = sorted({budget for budget in budgets if budget > 0})
    return {0.0: 0.0, **{budget: float(place) for place, budget in enumerate(above, 1)}}


def _looks(found: Sequence[Curve]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each mitigation; both tell it from the others."""
    names = list(dict.fromkeys(curve.mitigation for curve in found))
    spare = iter(OTHERS * len(names))
    return {
        name: (MITIGATED[i % len(MITIGATED)], MARKS.get(name) or next(spare)) for i, name in enumerate(names)
    }


def _rates(
    axes: Axes, group: list[Curve], places: dict[float, float], looks: dict[str, tuple[str, str]]
) -> None:
    for curve in group:
        start = [(0.0, curve.points[0].before)] if curve.points[0].before else []
        path = start + [(places[p.budget], p.rate) for p in curve.points]
        colour, marker = looks[curve.mitigation]
        _line(axes, path, f"{curve.mitigation} + {curve.attack}", colour, "-", marker)
    for curve in group[:1]:  # the twin is the same beside every mitigation
        _line(axes, _elsewhere(curve, "twin", curve.kind, places), f"twin + {curve.attack}",
              SETTINGS["twin"], "--", "P")  # fmt: skip
    axes.set_ylim(-0.03, 1.03)


def _controls(
    axes: Axes, group: list[Curve], places: dict[float, float], looks: dict[str, tuple[str, str]]
) -> None:
    for curve in group:
        for kind, style in CONTROLS.items():
            name = f"{kind} controls, {curve.mitigation} + {curve.attack}"
            colour, marker = looks[curve.mitigation]
            _line(axes, _elsewhere(curve, curve.mitigation, kind, places), name, colour, style, marker)
    for kind, style in CONTROLS.items():
        if group[0].mitigation != "original":
            name = f"{kind} controls, original + {group[0].attack}"
            _line(axes, _elsewhere(group[0], "original", kind, places), name, INK, style, "d")
    axes.set_ylim(-0.03, 1.03)


def _moved(
    axes: Axes, group: list[Curve], places: dict[float, float], looks: dict[str, tuple[str, str]]
) -> None:
    for curve in group:
        path = [(places[p.budget], p.displacement) for p in curve.points if p.displacement]
        _line(axes, path, "", looks[curve.mitigation][0], "-", looks[curve.mitigation][1])
    twin = [
        (places[p.budget], each.displacement)
        for p in group[0].points
        for each in p.counterfactuals
        if split(each.setting)[0] == "twin" and each.displacement
    ]
    _line(axes, twin, "", SETTINGS["twin"], "--", "P")


def _elsewhere(curve: Curve, base: str, kind: str, places: dict[float, float]) -> Line:
    """The rates of a counterfactual, from that without the attack on."""
    path: Line = []
    for point in curve.points:
        for each in point.counterfactuals:
            if (split(each.setting)[0], each.kind) == (base, kind):
                if each.before and not path:
                    path.append((0.0, each.before))
                path.append((places[point.budget], each.rate))
    return path


def _line(axes: Axes, path: Line, name: str, colour: str, style: object, marker: str) -> None:
    path = sorted(dict(path).items())
    if not path:
        return
    at = [place + APART * (len(axes.lines) - 1) for place, _ in path]
    axes.plot(
        at, [figure.value for _, figure in path], color=colour, linestyle=style, marker=marker, markersize=5,
        label=name or "_", linewidth=1.6, markerfacecolor="white",
    )  # fmt: skip
    bounds = [(f.low, f.high) for _, f in path if f.low is not None and f.high is not None]
    if style in ("-", "--") and len(bounds) == len(path):
        low, high = zip(*bounds, strict=True)
        axes.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)


def _injection(panels: Sequence[Axes], group: list[Curve], places: dict[float, float]) -> None:
    """A line at the smallest injection point of the column."""
    found: list[Point] = [curve.injection for curve in group if curve.injection]
    if not found:
        return
    at = places[min(point.budget for point in found)]
    for axes in panels:
        axes.axvline(at, color=INK, linewidth=0.9, linestyle="-.", zorder=0)
    last = at == max(places.values())
    # where controls are seldom high
    panels[1].annotate(
        "injection point", (at, 0.94), xytext=(-4 if last else 4, 0), textcoords="offset points", fontsize=8,
        ha="right" if last else "left", va="top",
    )  # fmt: skip


def _axis(axes: Axes, name: str, places: dict[float, float]) -> None:
    axes.set_xticks(list(places.values()), [NONE, *(name_of(budget) for budget in list(places)[1:])])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(name)
