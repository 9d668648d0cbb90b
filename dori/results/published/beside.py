"""Which figures of a run a paper reports too: the same model, setting and kind, at the same settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dori.results.reading.estimate import Estimate, estimate
from dori.results.reading.rows import Row, Rows

FILE = Path(__file__).with_name("figures.yaml")
NAMES = ("setting", "params")  # of an entry; its other keys are metrics


@dataclass(frozen=True)
class Published:
    """A paper's figure; ``deviation``: the median absolute deviation over its prompts, where it has one."""

    source: str
    model: str
    kind: str
    setting: str
    params: Mapping[str, Any]
    metric: str
    value: float
    deviation: float | None = None

    def is_of(self, row: Row) -> bool:
        """Whether a row is of the same, as far as the paper says what it did."""
        same = (row["model"], row["kind"], row["setting"]) == (self.model, self.kind, self.setting)
        return same and all(row["params"].get(key) == value for key, value in self.params.items())


@cache
def published() -> tuple[Published, ...]:
    """Every figure of ``figures.yaml``, in its order."""
    return tuple(
        Published(
            group["source"], group["model"], group["kind"], entry["setting"], entry.get("params", {}), metric,
            *(figure if isinstance(figure, list) else [figure]),
        )
        for group in yaml.safe_load(FILE.read_text())
        for entry in group["figures"]
        for metric, figure in entry.items()
        if metric not in NAMES
    )  # fmt: skip


def beside(rows: Rows) -> list[tuple[Published, Estimate]]:
    """Each paper's figure that the rows have too, with theirs; of several such rows, the first one's."""
    found = []
    for each in published():
        figures = [estimate(row, each.metric) for row in rows if each.is_of(row)]
        if own := next((figure for figure in figures if figure), None):
            found.append((each, own))
    return found


def holds(paper: Published, own: Estimate) -> bool | None:
    """Whether the paper's value lies within the run's interval; None where there is no interval."""
    if own.low is None or own.high is None:
        return None
    return own.low <= paper.value <= own.high
