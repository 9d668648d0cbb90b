"""The adversary's work: gradient evaluations until a copy, and the share that has none yet."""

from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.curves import name_of
from dori.results.figures.style import INK, LINE, MITIGATED, SETTINGS, save, styled
from dori.results.reading.block import Block
from dori.results.reading.comparison import kinds_of, split, varying
from dori.results.reading.estimate import MISSING
from dori.results.reading.rows import Row, Rows
from dori.results.reading.words import KINDS_SHORT, kind_title, setting_rank
from dori.results.tables.table import work_cell
from dori.results.verdicts.questions import Verdict

TITLE = "The adversary's work"
CAPTION = (
    "Share of targets without a copy so far, against gradient evaluations (Kaplan and Meier), with the 95 % "
    "interval of the mitigated models. Dashed is the twin, dotted the untouched model. A line ends at the "
    "budget, which may lie beyond the panel; copies are looked for in a quick sample, on seeds of its own. "
    "Of many attacks there is a panel per model, for memorized targets; their intervals stand in the table."
)
FEW = 4  # lines that a panel with their intervals can hold
METRICS = {
    "Work": "gradient evaluations after which half of the targets had a copy in a quick sample (median by "
    "Kaplan and Meier, its interval by Brookmeyer and Crowley); “> 400”: not within the budget of 400"
}
MARKERS = "o^sDvPX*"
DASHES = ["-"] * len(MITIGATED) + ["--"] * len(MITIGATED)
ACROSS = 4  # panels
Lines = list[tuple[str, Row]]
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
    """Write a PNG with the survival curves, one panel per kind of target; of many attacks one per model."""
    found = curves(rows)
    kinds = kinds_of([row for _, row in found])
    few = max(sum(row["kind"] == kind for _, row in found) for kind in kinds) <= FEW
    panels = _by_kind(found, kinds) if few else _by_model([e for e in found if e[1]["kind"] == kinds[0]])
    shown = [each for members in panels.values() for each in members]
    labels = dict.fromkeys(label for label, _ in shown)
    apart = zip(cycle(MITIGATED), cycle(DASHES), cycle(MARKERS))
    looks = dict(zip(labels, _looks(shown) if few else apart, strict=False))
    columns = min(ACROSS, len(panels))
    lines = -(-len(panels) // columns)
    with styled():
        figure = Figure(figsize=(max(4.6, 2.9 * columns), 1 + 2.6 * lines), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (title, members) in zip(grid.flat, panels.items(), strict=False):
            n = "/".join(sorted({f"{row['metrics']['Work']['n']:,}" for _, row in members}))
            axes.set_title(f"{title} (n = {n})", fontsize=9)
            for label, row in members:
                _draw(axes, label, row, *looks[label], band=few)
        grid[0, 0].set_xlim(0, _right([row for _, row in shown]))
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("share without a copy")
        figure.supxlabel("gradient evaluations", fontsize=9)
        handles = {
            label: handle
            for axes in grid.flat
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside upper left", ncols=3, fontsize=8, handlelength=3.2
        )
        save(figure, path)


def _right(rows: Sequence[Row]) -> float:
    """Where the panels end: beyond the last copy, or the smallest budget where there is none."""
    told = [row["metrics"]["Work"]["survival"] for row in rows]
    copies = [after[0] for curve in told for before, after in pairwise(curve) if after[1] < before[1]]
    return 1.05 * max([*copies, min(curve[-1][0] for curve in told)]) or 1


def _by_kind(found: Lines, kinds: Sequence[str]) -> dict[str, Lines]:
    return {f"{kind}: {KINDS_SHORT[kind]}": [e for e in found if e[1]["kind"] == kind] for kind in kinds}


def _by_model(found: Lines) -> dict[str, Lines]:
    """The lines of each model, called by their attacks."""
    panels: dict[str, Lines] = {}
    for label, row in found:
        base, _ = split(row["setting"])
        panels.setdefault(base, []).append((label.removeprefix(f"{base}+"), row))
    return {base: panels[base] for base in sorted(panels, key=setting_rank)}


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


def _draw(axes: Axes, label: str, row: Row, colour: str, style: str, marker: str, band: bool) -> None:
    at, share, low, high = zip(*row["metrics"]["Work"]["survival"], strict=True)
    axes.plot(
        at, share, color=colour, linestyle=style, marker=marker, markersize=4, label=label, linewidth=1.6,
        drawstyle="steps-post", markerfacecolor="white",
    )  # fmt: skip
    if band and style == "-":  # the bands of all would hide each other
        axes.fill_between(at, low, high, step="post", color=colour, alpha=0.12, linewidth=0)
    axes.axhline(0.5, color=INK, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
