"""What the extraction study shows: which prompts are extracted, and who could do it."""

from dori.results.budget import finding as budget
from dori.results.figures.curves import label_of
from dori.results.finding import Finding
from dori.results.reading.comparison import varying
from dori.results.reading.rows import Rows
from dori.results.tables.table import rates
from dori.studies.extraction import verdict
from dori.studies.extraction.figure import write_extraction


def findings(rows: Rows, x: str | None = None) -> list[Finding]:
    """The study's own, and that of budgets and work where there are any."""
    names, judged = varying(rows), verdict.verdicts(rows)
    panels = [(label_of(c, names), c) for c, _ in judged]
    own = Finding(
        title=verdict.TITLE,
        file="extraction.png",
        caption=verdict.CAPTION,
        write=lambda path: write_extraction(path, panels),
        verdicts=[(label_of(c, names), found) for c, found in judged],
        tables=rates(rows, list(verdict.METRICS)),
        words=verdict.METRICS,
    )
    return [own, *budget.findings(rows, x)]
