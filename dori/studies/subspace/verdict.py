"""What the subspace study bears out, and its figure: overlap of masks, and masks swapped."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import LINE, QUIET, REPLICA, save, styled
from dori.results.reading.answers import ABOVE, UNDECIDED, WITHIN, Answer, paired, turned
from dori.results.reading.estimate import Estimate, estimate
from dori.results.reading.margins import Margins
from dori.results.reading.rows import Rows
from dori.results.verdicts.questions import Question, Verdict, asked

TITLE = "Masks of disjoint sets of prompts"
CAPTION = (
    "Left: overlap of masks found from disjoint sets of prompts; the bars are what chance gives at equal "
    "counts. Right: memorization rate with each prompt mitigated by the mask of its own half, of the other "
    "half, of as many ordinary prompts cut to equal count, and at random. Lines are 95 % intervals."
)
METRICS = {
    "IoU": "intersection over union of the masks of disjoint groups of prompts, mean over pairs of groups; "
    "its interval is a jackknife over groups",
    "IoU_chance": "the same for masks drawn at random with as many weights in each layer",
    "IoU_over_chance": "IoU less that",
    "IoU_over_ordinary": "IoU less that of ordinary prompts; tested by permuting which groups are of "
    "which kind",
}
MEMORIZED, ORDINARY = "memorized and memorized", "ordinary and ordinary"
SUFFIXES = ("own_half", "other_half", "ordinary")


def settings(rows: Rows) -> list[str]:
    """original, random, and the method's three masks."""
    names = dict.fromkeys(row["setting"] for row in rows if row["kind"] != "masks")
    return sorted(names, key=lambda name: next((i for i, s in enumerate(SUFFIXES) if name.endswith(s)), 9))


def verdict(rows: Rows) -> Verdict:
    """Both claims, each held against its baseline."""
    kind = next(row["kind"] for row in rows if row["kind"] != "masks")
    margin = Margins.of(rows[0]["params"]).rate
    names = {suffix: name for suffix in SUFFIXES for name in settings(rows) if name.endswith(suffix)}
    other, usual = names["other_half"], names["ordinary"]
    among = _figure(rows, MEMORIZED, "IoU")
    over = {name: _figure(rows, MEMORIZED, f"IoU_over_{name}") for name in ("ordinary", "chance")}
    questions = [
        Question("overlap above that of ordinary prompts", among, over["ordinary"], margin),
        Question("overlap above chance", among, over["chance"], margin),
        Question("the other half's mask lowers the rate", _figure(rows, other, "MR", kind),
                 turned(paired(_figure(rows, other, "MR_difference", kind))), margin),
        Question("more than that of ordinary prompts", _figure(rows, usual, "MR", kind),
                 turned(paired(_figure(rows, other, f"MR_over_{usual}", kind))), margin),
    ]  # fmt: skip
    code, headline, text = _case(*(each.answer for each in questions))
    return Verdict(code, headline, text, figures=asked(questions, "figure"))


def _case(overlap: Answer, by_chance: Answer, mitigates: Answer, more: Answer) -> tuple[str, str, str]:
    if mitigates == WITHIN:
        return "none", "No shared subspace is seen", "The mask of one half does not mitigate the other half."
    if mitigates == UNDECIDED or more == UNDECIDED:
        text = "It takes more prompts to tell what the mask of one half does to the other half."
        return "undecided", "Undecided whether memorized prompts share a subspace", text
    if more == WITHIN:
        text = "As many weights that ordinary prompts select mitigate as much, up to the margin."
        return "unspecific", "The mask transfers, but that of ordinary prompts does as much", text
    if overlap == by_chance == ABOVE:
        text = (
            "The mask of one half mitigates the other, and masks overlap more than those of ordinary prompts."
        )
        return "shared", "Memorized prompts share a subspace", text
    text = "The mask of one half mitigates the other, more than one of ordinary prompts."
    if overlap == WITHIN:
        return "transfers", "The mask transfers, but overlaps no more than any prompts' masks do", text
    return "transfers", "The mask transfers; whether masks overlap more is undecided", text


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


def _figure(rows: Rows, setting: str, metric: str, kind: str = "masks") -> Estimate | None:
    found = (row for row in rows if row["setting"] == setting and row["kind"] == kind)
    return estimate(next(found, None), metric)
