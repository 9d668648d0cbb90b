"""What the subspace study bears out, and its figure: overlap of masks, and masks swapped."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.estimate import Estimate, above, estimate, share_above, with_interval
from dori.results.rows import Rows
from dori.results.style import LINE, QUIET, REPLICA, save, styled
from dori.results.verdict import Verdict, cite

TITLE = "Masks of disjoint sets of prompts"
CAPTION = (
    "Left: overlap of masks found from disjoint sets of prompts; the bars are what chance gives at equal "
    "counts. Right: memorization rate with each prompt mitigated by the mask of its own half, of the other "
    "half, of as many ordinary prompts cut to equal count, and at random. Lines are 95 % intervals."
)
METRICS = {
    "IoU": "intersection over union of the masks of disjoint sets of prompts, mean over random splits",
    "IoU_chance": "the same for masks drawn at random with as many weights in each layer",
}
MEMORIZED, ORDINARY = "memorized and memorized", "ordinary and ordinary"
SUFFIXES = ("own_half", "other_half", "ordinary")


def settings(rows: Rows) -> list[str]:
    """original, random, and the method's three masks."""
    names = dict.fromkeys(row["setting"] for row in rows if row["kind"] != "masks")
    return sorted(names, key=lambda name: next((i for i, s in enumerate(SUFFIXES) if name.endswith(s)), 9))


def verdict(rows: Rows) -> Verdict:
    """Both claims, each held against its baseline."""
    among, usual = (_figure(rows, name, "IoU") for name in (MEMORIZED, ORDINARY))
    chance = _figure(rows, MEMORIZED, "IoU_chance")
    kind = next(row["kind"] for row in rows if row["kind"] != "masks")
    rates = {
        suffix: _figure(rows, name, "MR", kind)
        for suffix in (*SUFFIXES, "random", "original")
        for name in settings(rows)
        if name.endswith(suffix)
    }
    overlap = (
        f"Masks of disjoint sets of memorized prompts overlap with an IoU of {_cite(among)} (chance"
        f" {with_interval(chance)}); masks of disjoint sets of ordinary prompts with {_cite(usual)}."
    )
    swap = (
        f"The memorization rate is {_cite(rates['original'])} before, {_cite(rates['own_half'])} with the"
        f" mask of the own half, {_cite(rates['other_half'])} with that of the other half,"
        f" {_cite(rates['ordinary'])} with as many weights that ordinary prompts select, and"
        f" {_cite(rates['random'])} at random."
    )
    shared = _above(among, usual) and _above(among, chance)
    transfers = _more(rates["ordinary"], rates["other_half"])
    if shared and transfers:
        code, headline = "shared", "Memorized prompts share a subspace"
    elif transfers:
        code, headline = "transfers", "The mask transfers, but overlaps no more than any prompts' masks do"
    elif _more(rates["original"], rates["other_half"]):
        code, headline = "unspecific", "The mask transfers, but that of ordinary prompts does as much"
    else:
        code, headline = "none", "No shared subspace is seen"
    return Verdict(code, headline, f"{overlap} {swap}")


def write_subspace(path: Path, rows: Rows) -> None:
    """Write the PNG: overlaps left, memorization rates right."""
    pairs = [row["setting"] for row in rows if row["kind"] == "masks"]
    kind = next(row["kind"] for row in rows if row["kind"] != "masks")
    with styled():
        figure = Figure(figsize=(8, 2.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        _marks(left, pairs, [_figure(rows, name, "IoU") for name in pairs])
        for place, name in enumerate(pairs):
            if chance := _figure(rows, name, "IoU_chance"):
                left.plot([chance.value] * 2, [place - 0.3, place + 0.3], color=QUIET, linewidth=1.5)
        left.set_xlabel("IoU of masks")
        names = settings(rows)
        _marks(right, [n.replace("_", " ") for n in names], [_figure(rows, n, "MR", kind) for n in names])
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


def _above(one: Estimate | None, other: Estimate | None) -> bool:
    return one is not None and other is not None and above(one, other)


def _more(one: Estimate | None, other: Estimate | None) -> bool:
    """Of rates, by the exact test."""
    return one is not None and other is not None and share_above(one, other)


def _cite(figure: Estimate | None) -> str:
    return cite(figure) if figure else "not measured"


def _figure(rows: Rows, setting: str, metric: str, kind: str = "masks") -> Estimate | None:
    found = (row for row in rows if row["setting"] == setting and row["kind"] == kind)
    return estimate(next(found, None), metric)
