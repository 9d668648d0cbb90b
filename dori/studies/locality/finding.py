"""What the locality study shows: one finding for each way in which triggers are compared."""

from dori.results.finding import Finding
from dori.results.reading.rows import Rows
from dori.results.verdicts.questions import Verdict
from dori.studies.locality.telling.figures import WRITERS
from dori.studies.locality.telling.tables import tables
from dori.studies.locality.telling.verdict import verdicts
from dori.studies.locality.telling.words import CAPTIONS, TITLES, WORDS


def findings(rows: Rows, _x: str | None = None) -> list[Finding]:
    """One for each analysis: embeddings, activations, weights, cuts."""
    return [_finding(rows, kind, verdict) for kind, verdict in verdicts(rows).items()]


def _finding(rows: Rows, kind: str, verdict: Verdict) -> Finding:
    return Finding(
        title=TITLES[kind],
        file=f"locality_{kind}.png",
        caption=CAPTIONS[kind],
        write=lambda path: WRITERS[kind](path, rows) if verdict.code != "no_triggers" else None,
        verdicts=[("", verdict)],
        tables=tables(rows, kind),
        words=WORDS if kind == "embeddings" else {},
    )
