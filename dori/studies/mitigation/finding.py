"""What the main study says beside the verdict that every study shares."""

from dori.results.budget import finding as budget
from dori.results.finding import Finding
from dori.results.published import finding as published
from dori.results.reading.rows import Rows


def findings(rows: Rows, x: str | None = None) -> list[Finding]:
    """Of budgets, of work, and beside the papers' numbers where there are such."""
    return [*budget.findings(rows, x), *published.findings(rows)]
