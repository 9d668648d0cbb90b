"""Figures of the locality study's rows, and how they are cited."""

from collections.abc import Sequence

from dori.results.reading.block import Block
from dori.results.reading.estimate import Estimate, counted, estimate, with_interval
from dori.results.reading.margins import Margins
from dori.results.reading.rows import Rows
from dori.results.verdicts.questions import cite


def figure_of(rows: Rows, kind: str, setting: str, metric: str) -> Estimate | None:
    """A metric of the one row of a kind and setting; None where there is none."""
    found = (row for row in rows if row["kind"] == kind and row["setting"] == setting)
    return estimate(next(found, None), metric)


def margins_of(rows: Rows) -> Margins:
    """The thresholds that the study was configured with."""
    return Margins.of(rows[0]["params"])


def methods(rows: Rows, kind: str) -> list[str]:
    """The pruning methods, in the order of the rows."""
    return list(dict.fromkeys(row["setting"].split(":")[0] for row in rows if row["kind"] == kind))


def cuts(rows: Rows) -> list[int]:
    """The numbers of triggers that were pruned by, 0 first."""
    names = {name for row in rows if row["kind"] == "cuts" for name in row["metrics"]}
    return sorted(int(name.split("/")[1]) for name in names if name.startswith("Left/"))


def path(rows: Rows, setting: str) -> list[tuple[float, Estimate]]:
    """(place on the way, share of lines that bring the first image), in order."""
    row = next((row for row in rows if row["kind"] == "path" and row["setting"] == setting), None)
    names = [name for name in (row or {}).get("metrics", {}) if name.startswith("MR/")]
    points = [(float(name.split("/")[1]), estimate(row, name)) for name in names]
    return sorted((at, figure) for at, figure in points if figure is not None)


def listed(title: str, figures: Sequence[tuple[str, Estimate | None]]) -> Block:
    """Figures, each by its name, as a small table."""
    lines = tuple((name, with_interval(figure), counted(figure)) for name, figure in figures if figure)
    return Block("What it rests on", (title, "[95 %]", "n"), lines, 1)


def cited(figure: Estimate | None) -> str:
    """A figure within a sentence."""
    return cite(figure) if figure else "not measured"
