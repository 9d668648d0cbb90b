"""What the subspace study shows: overlap of masks, and masks swapped."""

from dori.results.finding import Finding
from dori.results.reading.rows import Rows
from dori.results.tables.table import rates
from dori.studies.subspace import verdict
from dori.studies.subspace.figure import write_subspace


def findings(rows: Rows, _x: str | None = None) -> list[Finding]:
    """The overlap of masks, and what swapped masks do."""
    masks = [row for row in rows if row["kind"] == "masks"]
    return [
        Finding(
            title=verdict.TITLE,
            file="subspace.png",
            caption=verdict.CAPTION,
            write=lambda path: write_subspace(path, rows),
            verdicts=[("", verdict.verdict(rows))],
            tables=rates(masks, list(verdict.METRICS)),
            words=verdict.METRICS,
        )
    ]
