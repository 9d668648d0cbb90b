"""What studies say of their own rows: each row names its study, whose module has ``findings``."""

import logging
from collections.abc import Callable
from importlib import import_module

from dori.results.finding import Finding
from dori.results.reading.rows import Row, Rows

log = logging.getLogger(__name__)
STUDY = "study.class"  # of a row's params: the study's function, by its dotted name


def findings(rows: Rows, x: str | None = None) -> list[Finding]:
    """The findings of every study in the rows, each told from its own rows.

    ``x``: the parameter that leads where several were swept.
    """
    studies: dict[str, list[Row]] = {}
    for row in rows:
        studies.setdefault(row["params"].get(STUDY, ""), []).append(row)
    return [finding for name, own in studies.items() if name for finding in _of(name)(own, x)]


def _of(study: str) -> Callable[[Rows, str | None], list[Finding]]:
    """A study's own ``findings``; one that has none, or is not installed here, says nothing more."""
    try:
        module = import_module(study.rpartition(".")[0])
    except ImportError as error:
        log.warning("what %s says of its rows is left out, as it cannot be imported: %s", study, error)
        return _nothing
    return getattr(module, "findings", _nothing)


def _nothing(_rows: Rows, _x: str | None) -> list[Finding]:
    return []
