"""The figure of the extraction study: which share of prompts is extracted, by condition and kind."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import LINE, QUIET, REPLICA, save, styled
from dori.results.reading.comparison import Comparison, kinds_of
from dori.results.reading.estimate import Estimate
from dori.results.reading.words import KINDS_SHORT, setting_meaning

APART = 0.17  # of the room of a condition, between its two marks
LINE_HEIGHT = 0.42  # inches per condition


def write_extraction(path: Path, found: Sequence[tuple[str, Comparison]]) -> None:
    """Write a PNG with a row of panels per (label, comparison) and a column per kind of target.

    Filled: Extracted. Hollow: Cliques. Both with their 95 % intervals.
    """
    kinds = kinds_of(found[0][1].rows)
    lines = [_conditions(c) for _, c in found]
    with styled():
        height = LINE_HEIGHT * sum(map(len, lines)) + 0.7 * len(found) + 0.8
        figure = Figure(figsize=(2 + 1.8 * len(kinds), height), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            len(found), len(kinds), sharex=True, sharey="row", squeeze=False, height_ratios=[*map(len, lines)]
        )
        for axes, (label, c), conditions in zip(grid, found, lines, strict=True):
            for panel, kind in zip(axes, kinds, strict=True):
                _panel(panel, c, kind, conditions)
            axes[0].set_yticks(range(len(conditions)), [_name(setting) for setting in conditions])
            axes[0].set_ylim(len(conditions) - 0.5, -0.5)
            if len(found) > 1:
                axes[0].set_ylabel(label, fontsize=8)
        for panel, kind in zip(grid[0], kinds, strict=True):
            panel.set_title(f"{kind}\n{KINDS_SHORT[kind]}", loc="left", fontsize=9)
        figure.supxlabel(f"share of prompts with {_counts(found[0][1])}", fontsize=9)
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=8)
        save(figure, path)


def _conditions(c: Comparison) -> list[str]:
    """Before, the baseline, after, under attack, and the counterfactual, as far as there are rows."""
    wanted = dict.fromkeys(["original", c.baseline, c.mitigation, c.attacked, c.attacked_twin])
    return [setting for setting in wanted if setting and any(r["setting"] == setting for r in c.rows)]


def _panel(axes: Axes, c: Comparison, kind: str, conditions: Sequence[str]) -> None:
    for place, setting in enumerate(conditions):
        axes.axhline(place, color=LINE, linewidth=0.6, zorder=0)
        found, extracted = (c.figure(setting, metric, kind) for metric in ("Cliques", "Extracted"))
        if found is None or extracted is None:
            axes.annotate(
                "not run", (0.02, place), color=QUIET, fontsize=7, va="center", backgroundcolor="white"
            )
            continue
        _mark(axes, extracted, place - APART, REPLICA, REPLICA)
        _mark(axes, found, place + APART, QUIET, "white")
        told = f"{round(extracted.value * (extracted.n or 0))} of {extracted.n}"
        axes.annotate(
            told,
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            annotation_clip=False,
        )
    # in the legend once, also where the first condition was not run
    for label, colour, face in (
        ("extracted: a clique that matches the training image", REPLICA, REPLICA),
        ("a clique, whatever it shows", QUIET, "white"),
    ):
        axes.plot([], [], "o-", color=colour, markerfacecolor=face, label=label)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines["left"].set_visible(False)


def _mark(axes: Axes, figure: Estimate, place: float, colour: str, face: str) -> None:
    if figure.low is not None and figure.high is not None:
        axes.plot(
            [figure.low, figure.high], [place, place], color=colour, linewidth=1.4, solid_capstyle="butt"
        )
    axes.plot(figure.value, place, "o", color=colour, markerfacecolor=face, markersize=5)


def _name(setting: str) -> str:
    return f"{setting_meaning(setting)}   {setting}"


def _counts(c: Comparison) -> str:
    return f"at least {c.params['study.clique']} near-duplicates among {c.params['study.samples']} samples"
