"""What the rows of attacks say of budgets, and of the work that it took, where there is any of it."""

from dori.results.budget import lines, words, work
from dori.results.budget.figure import write_budget
from dori.results.finding import Finding
from dori.results.reading.rows import Rows


def findings(rows: Rows, x: str | None = None) -> list[Finding]:
    """Of attacks at several budgets, and of attacks that were watched.

    ``x``: the parameter that leads where several were swept.
    """
    found = []
    if curves := lines.curves(rows, x):
        found.append(Finding(
            title=words.TITLE, file="budget.png", caption=words.CAPTION,
            write=lambda path: write_budget(path, curves),
            verdicts=[(lines.label(curve), words.verdict(curve)) for curve in curves],
            tables=words.tables(curves), words=words.WORDS, answers=False,
        ))  # fmt: skip
    if any("Work" in row["metrics"] for row in rows):
        found.append(Finding(
            title=work.TITLE, file="work.png", caption=work.CAPTION,
            write=lambda path: work.write_work(path, rows), verdicts=[("", work.verdict(rows))],
            tables=work.table(rows), words=work.METRICS, answers=False,
        ))  # fmt: skip
    return found
