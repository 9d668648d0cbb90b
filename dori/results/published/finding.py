"""A table and a figure of a run's numbers beside those that papers report."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import INK, LINE, REPLICA, save, styled
from dori.results.finding import Finding
from dori.results.published.beside import Published, beside, holds
from dori.results.reading.block import Block
from dori.results.reading.estimate import MISSING, Estimate, counted, number, with_deviation, with_interval
from dori.results.reading.rows import Rows
from dori.results.reading.words import KINDS_SHORT

TITLE = "Beside the papers' numbers"
CAPTION = "Dots: this run, with its 95 % interval. Diamonds: the paper's value."
COLUMNS = ("setting", "pictures", "metric", "paper", "here [95 %] (n)", "difference", "paper's value in it")
Pair = tuple[Published, Estimate]


def findings(rows: Rows) -> list[Finding]:
    """One finding for each source that reports what the rows have; nothing where none does."""
    sources: dict[str, list[Pair]] = {}
    for pair in beside(rows):
        sources.setdefault(pair[0].source, []).append(pair)
    return [
        Finding(
            title=f"{TITLE}: {source}", file=f"published-{pairs[0][0].model}.png", caption=CAPTION,
            write=lambda path, pairs=pairs: write(path, pairs),  # type: ignore[misc]
            verdicts=[], tables=[table(source, pairs)], words={}, answers=False,
        )
        for source, pairs in sources.items()
    ]  # fmt: skip


def table(source: str, pairs: Sequence[Pair]) -> Block:
    """A line for each figure: the paper's, this run's, and how far they are apart."""
    return Block(source, COLUMNS, tuple(_line(paper, own) for paper, own in pairs), 3)


def _line(paper: Published, own: Estimate) -> tuple[str, ...]:
    inside = holds(paper, own)
    return (
        label(paper), KINDS_SHORT.get(paper.kind, paper.kind), paper.metric,
        with_deviation(Estimate(paper.value, mad=paper.deviation)),
        f"{with_interval(own)} ({counted(own)})", number(own.value - paper.value),
        MISSING if inside is None else "yes" if inside else "no",
    )  # fmt: skip


def label(paper: Published) -> str:
    """The setting, and of an attack its steps."""
    steps = paper.params.get("steps")
    return paper.setting if steps is None else f"{paper.setting}, {steps} step{'s' * (steps != 1)}"


def write(path: Path, pairs: Sequence[Pair]) -> None:
    """Draw each figure on a line of its own, the paper's value and this run's interval."""
    with styled():
        figure = Figure(figsize=(6.4, 0.9 + 0.24 * len(pairs)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for place, (paper, own) in enumerate(pairs):
            axes.axhline(place, color=LINE, lw=0.5, zorder=0)
            if own.low is not None and own.high is not None:
                axes.plot((own.low, own.high), (place, place), color=INK, lw=1.6)
            axes.plot(own.value, place, "o", color=INK, ms=4)
            axes.plot(paper.value, place, "D", color=REPLICA, ms=4, mfc="none")
        axes.set_yticks(range(len(pairs)), [f"{label(paper)}: {paper.metric}" for paper, _ in pairs])
        axes.invert_yaxis()
        axes.set_xlim(-0.03, 1.03)
        save(figure, path)
