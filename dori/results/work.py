"""The adversary's work: gradient evaluations until a copy, and the share that has none yet."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.comparison import kinds_of, split, varying
from dori.results.curves import name_of
from dori.results.estimate import MISSING
from dori.results.rows import Row, Rows
from dori.results.style import INK, LINE, MITIGATED, SETTINGS, save, styled
from dori.results.table import Block, work_cell
from dori.results.verdict import Verdict
from dori.results.words import KINDS_SHORT, kind_title

TITLE = "The adversary's work"
CAPTION = (
    "Share of targets without a copy so far, against gradient evaluations (Kaplan and Meier), with the 95 % "
    "interval of the mitigated models. Dashed is the twin, dotted the untouched model. A line ends at the "
    "budget; copies are looked for in a quick sample, on seeds of its own."
)
METRICS = {
    "Work": "gradient evaluations after which half of the targets had a copy in a quick sample (median by "
    "Kaplan and Meier, its interval by Brookmeyer and Crowley); “> 400”: not within the budget of 400"
}
MARKERS = "o^sDvPX*"
STYLES = {"original": ":", "twin": "--"}


def curves(rows: Rows) -> list[tuple[str, Row]]:
    """Rows with a survival curve, labelled; of several step budgets the largest, which holds the others."""
    swept = [name for name in varying(rows) if name != "steps"]
    found: dict[tuple, Row] = {}
    for row in sorted(rows, key=lambda row: row["params"].get("steps") or 0):
        if "Work" in row["metrics"]:
            values = [f"{name} = {name_of(row['params'].get(name))}" for name in swept]
            found[(row["kind"], ", ".join([row["setting"], *values]))] = row
    order = {id(row): place for place, row in enumerate(rows)}
    return sorted(((label, row) for (_, label), row in found.items()), key=lambda each: order[id(each[1])])


def verdict(rows: Rows) -> Verdict:
    """What an attack costs where there is something to recall, and where there is not."""
    found = curves(rows)
    kinds = kinds_of([row for _, row in found])
    parts = []
    for kind in kinds:
        each = [
            f"{label} {work_cell(row)} (n = {row['metrics']['Work']['n']:,})"
            for label, row in found
            if row["kind"] == kind
        ]
        parts.append(f"{kind_title(kind)}: {'; '.join(each)}.")
    label, first = next(each for each in found if each[1]["kind"] == kinds[0])
    text = f"Median gradient evaluations until a copy. {' '.join(parts)}"
    return Verdict("work", f"{label} needs {work_cell(first)} gradient evaluations", text)


def table(rows: Rows) -> list[Block]:
    """One line per setting and sweep, one column per kind of target."""
    found = curves(rows)
    kinds = kinds_of([row for _, row in found])
    cells: dict[str, dict[str, str]] = {}
    for label, row in found:
        cells.setdefault(label, {})[row["kind"]] = work_cell(row)
    lines = tuple((label, *(line.get(kind, MISSING) for kind in kinds)) for label, line in cells.items())
    return [Block("Median gradient evaluations until a copy [95 % interval]", ("setting", *kinds), lines, 1)]


def write_work(path: Path, rows: Rows) -> None:
    """Write a PNG with the survival curves, one panel per kind of target."""
    found = curves(rows)
    kinds = kinds_of([row for _, row in found])
    looks = dict(zip(dict.fromkeys(label for label, _ in found), _looks(found), strict=True))
    with styled():
        figure = Figure(figsize=(max(4.6, 2.9 * len(kinds)), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            members = [(label, row) for label, row in found if row["kind"] == kind]
            n = "/".join(sorted({f"{row['metrics']['Work']['n']:,}" for _, row in members}))
            axes.set_title(f"{kind}: {KINDS_SHORT[kind]} (n = {n})", fontsize=9)
            for label, row in members:
                _draw(axes, label, row, *looks[label])
        panels[0].set_ylabel("share without a copy")
        figure.supxlabel("gradient evaluations", fontsize=9)
        handles = {
            label: handle
            for axes in panels
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside upper left", ncols=3, fontsize=8, handlelength=3.2
        )
        save(figure, path)


def _looks(found: Sequence[tuple[str, Row]]) -> Iterator[tuple[str, str, str]]:
    """Colour, line and marker of each label: dashed is the twin, dotted the untouched model.

    The colour tells what was swept where something was, otherwise the setting.
    """
    labels = {label: split(row["setting"])[0] for label, row in found}
    choices = {label: label.partition(", ")[2] for label in labels}
    swept = len(set(choices.values())) > 1
    colours = dict(zip(dict.fromkeys(choices.values() if swept else labels.values()), cycle(MITIGATED)))
    for (label, base), marker in zip(labels.items(), cycle(MARKERS)):
        colour = colours[choices[label]] if swept else SETTINGS.get(base, colours[base])
        yield colour, STYLES.get(base, "-"), marker


def _draw(axes: Axes, label: str, row: Row, colour: str, style: str, marker: str) -> None:
    at, share, low, high = zip(*row["metrics"]["Work"]["survival"], strict=True)
    axes.plot(
        at, share, color=colour, linestyle=style, marker=marker, markersize=4, label=label, linewidth=1.6,
        drawstyle="steps-post", markerfacecolor="white",
    )  # fmt: skip
    if style == "-":  # the bands of all would hide each other
        axes.fill_between(at, low, high, step="post", color=colour, alpha=0.12, linewidth=0)
    axes.axhline(0.5, color=INK, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
