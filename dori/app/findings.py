"""What a study other than the main one has to show: a verdict, a figure and tables of its own.

All of it is told from the rows alone, so that a job's report, the terminal and the merged report of a
multirun show the same. A study is recognised by what its rows hold and nobody else's do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dori.results.budget import lines as budget
from dori.results.budget import words as budget_words
from dori.results.budget import work
from dori.results.budget.figure import write_budget
from dori.results.budget.injection import Curve
from dori.results.figures.curves import label_of
from dori.results.reading.comparison import CARRIED, varying
from dori.results.reading.rows import Rows
from dori.results.tables.table import Block, rates
from dori.results.verdicts.questions import Verdict
from dori.studies.extraction import verdict as extraction
from dori.studies.extraction.figure import write_extraction
from dori.studies.locality.telling import verdict as locality
from dori.studies.locality.telling.figures import WRITERS
from dori.studies.locality.telling.tables import tables
from dori.studies.locality.telling.words import CAPTIONS, TITLES, WORDS
from dori.studies.subspace import verdict as subspace
from dori.studies.transfer import verdict as transfer


@dataclass(frozen=True)
class Finding:
    """One study's part of a report.

    Args:
        file: name of the figure's PNG, in the folder of the job or the multirun.
        write: draws the figure to a path.
        verdicts: each with the label that tells it from the others of a sweep.
        words: metrics that the study adds, and what they mean.
        answers: whether it is the study's answer; else it stands beside the memorization rate's.
    """

    title: str
    file: str
    caption: str
    write: Callable[[Path], None]
    verdicts: Sequence[tuple[str, Verdict]]
    tables: list[Block]
    words: Mapping[str, str]
    answers: bool = True


def findings(rows: Rows, x: str | None = None) -> list[Finding]:
    """The findings of every study in the rows; of the main one, about budgets and work where there are any.

    ``x``: the parameter that leads where several were swept.
    """
    found = []
    if own := [row for row in rows if "study.clique" in row["params"]]:
        found.append(_extraction(own))
    if masks := [row for row in rows if row["kind"] == "masks"]:
        found.append(_subspace(rows, masks))
    if any(row["kind"] == "triggers" for row in rows):
        found += [_locality(rows, kind, verdict) for kind, verdict in locality.verdicts(rows).items()]
    if any(CARRIED in row["setting"] for row in rows):
        found.append(_transfer(rows))
    if lines := budget.curves(rows, x):
        found.append(_budget(lines))
    if any("Work" in row["metrics"] for row in rows):
        found.append(_work(rows))
    return found


def _budget(lines: Sequence[Curve]) -> Finding:
    return Finding(
        title=budget_words.TITLE,
        file="budget.png",
        caption=budget_words.CAPTION,
        write=lambda path: write_budget(path, lines),
        verdicts=[(budget.label(line), budget_words.verdict(line)) for line in lines],
        tables=budget_words.tables(lines),
        words=budget_words.WORDS,
        answers=False,
    )


def _work(rows: Rows) -> Finding:
    return Finding(
        title=work.TITLE,
        file="work.png",
        caption=work.CAPTION,
        write=lambda path: work.write_work(path, rows),
        verdicts=[("", work.verdict(rows))],
        tables=work.table(rows),
        words=work.METRICS,
        answers=False,
    )


def _transfer(rows: Rows) -> Finding:
    return Finding(
        title=transfer.TITLE,
        file="transfer.png",
        caption=transfer.CAPTION,
        write=lambda path: transfer.write_transfer(path, rows),
        verdicts=[("", transfer.verdict(rows))],
        tables=transfer.matrices(rows),
        words={},
    )


def _subspace(rows: Rows, masks: Rows) -> Finding:
    return Finding(
        title=subspace.TITLE,
        file="subspace.png",
        caption=subspace.CAPTION,
        write=lambda path: subspace.write_subspace(path, rows),
        verdicts=[("", subspace.verdict(rows))],
        tables=rates(masks, list(subspace.METRICS)),
        words=subspace.METRICS,
    )


def _locality(rows: Rows, kind: str, verdict: Verdict) -> Finding:
    return Finding(
        title=TITLES[kind],
        file=f"locality_{kind}.png",
        caption=CAPTIONS[kind],
        write=lambda path: WRITERS[kind](path, rows) if verdict.code != "no_triggers" else None,
        verdicts=[("", verdict)],
        tables=tables(rows, kind),
        words=WORDS if kind == "embeddings" else {},
    )


def _extraction(rows: Rows) -> Finding:
    names, judged = varying(rows), extraction.verdicts(rows)
    panels = [(label_of(c, names), c) for c, _ in judged]
    return Finding(
        title=extraction.TITLE,
        file="extraction.png",
        caption=extraction.CAPTION,
        write=lambda path: write_extraction(path, panels),
        verdicts=[(label_of(c, names), verdict) for c, verdict in judged],
        tables=rates(rows, list(extraction.METRICS)),
        words=extraction.METRICS,
    )
