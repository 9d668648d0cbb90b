"""What the transfer study shows: who finds a trigger, and who draws from it."""

from dori.results.finding import Finding
from dori.results.reading.rows import Rows
from dori.studies.transfer import verdict
from dori.studies.transfer.figure import write_transfer


def findings(rows: Rows, _x: str | None = None) -> list[Finding]:
    """Which triggers bring images out of which models."""
    return [
        Finding(
            title=verdict.TITLE,
            file="transfer.png",
            caption=verdict.CAPTION,
            write=lambda path: write_transfer(path, rows),
            verdicts=[("", verdict.verdict(rows))],
            tables=verdict.matrices(rows),
            words={},
        )
    ]
