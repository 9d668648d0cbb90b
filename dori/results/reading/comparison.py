"""Which settings of a run belong together: before, after, attacked, and the counterfactuals."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dori.results.reading.answers import paired
from dori.results.reading.estimate import Estimate, estimate
from dori.results.reading.margins import Margins
from dori.results.reading.rows import Row, Rows

MEMORIZED = ("verbatim", "template")
TARGETS = (*MEMORIZED, "seen", "unseen")
CARRIED = ">"  # between where a trigger was found and what draws from it


@dataclass(frozen=True)
class Comparison:
    """One mitigation with one attack at one choice of ``params``, within ``rows``.

    ``mitigation`` is ``original`` where there is none; ``attack`` is empty where there is none.
    ``kind`` is the kind of target that it is about: verbatim, or the next one that there is. ``rate``
    is the metric that the question is asked of: MR, or what a study puts in its place.
    """

    rows: Rows
    mitigation: str
    attack: str
    params: dict[str, Any]
    kind: str
    baseline: str | None = None
    rate: str = "MR"

    @property
    def attacked(self) -> str:
        """The mitigated setting under attack, e.g. ``wanda+dori``."""
        return f"{self.mitigation}+{self.attack}" if self.attack else ""

    @property
    def attacked_twin(self) -> str:
        """The setting of the same attack on the twin; empty without an attack."""
        return f"twin+{self.attack}" if self.attack else ""

    def row(self, setting: str, kind: str) -> Row | None:
        """The row of a setting whose params agree best: rows that jobs share may lack some."""
        candidates = [r for r in self.rows if r["setting"] == setting and r["kind"] == kind]
        return max(candidates, key=self._agreement, default=None)

    def figure(self, setting: str, metric: str, kind: str | None = None) -> Estimate | None:
        """A metric of a setting, of the comparison's kind unless another is given."""
        return estimate(self.row(setting, kind or self.kind), metric)

    def difference(self, setting: str, metric: str, kind: str | None = None) -> Estimate | None:
        """The rate of a setting less another one on the same prompts: ``difference``, ``over_twin``."""
        return paired(self.figure(setting, f"{self.rate}_{metric}", kind))

    @property
    def margins(self) -> Margins:
        """The margins that the rows were judged by."""
        return Margins.of(self.params)

    def _agreement(self, row: Row) -> int:
        params = row["params"]
        return sum(1 for key, value in self.params.items() if key in params and params[key] == value)


def comparisons(rows: Rows) -> list[Comparison]:
    """Every mitigation × attack × params in the rows, in the order of the rows.

    Triggers that were carried to another model (``wanda+dori>original``) are no comparison of their own.
    """
    rows = [row for row in rows if CARRIED not in row["setting"]]
    kind = next(iter(kinds_of(rows)), TARGETS[0])
    mitigations = _mitigations(rows)
    pruned_at_random = any(row["setting"] == "random" for row in rows)
    baseline = "random" if pruned_at_random and "random" not in mitigations else None
    attacks = {base: _attacks(rows, base) for base in mitigations}
    found: dict[str, Comparison] = {}
    for row in rows:
        base, attack = split(row["setting"])
        # an unattacked row is a comparison of its own only where its mitigation was never attacked
        if row["kind"] != kind or attack not in attacks.get(base, ()):
            continue
        key = json.dumps([base, attack, row["params"]], sort_keys=True)
        found.setdefault(key, Comparison(rows, base, attack, row["params"], kind, baseline))
    return list(found.values())


def kinds_of(rows: Rows) -> list[str]:
    """The kinds of target that there are, memorized ones first."""
    return [kind for kind in TARGETS if any(row["kind"] == kind for row in rows)]


def varying(rows: Rows) -> list[str]:
    """Names of the params that differ between rows of one setting and kind: what was swept.

    What follows of another one is left out: the settings of a part by its name (``start.captions`` by
    ``start``), and the hash of a content wherever anything else tells it.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["setting"], row["kind"]), []).append(row["params"])
    names = sorted({
        name for alike in groups.values() for name in set().union(*alike)
        if len({json.dumps(params.get(name)) for params in alike}) > 1
    })  # fmt: skip
    following = {name for name in names if name.endswith(".hash")}
    following |= {name for name in names if any(name.startswith(f"{other}.") for other in names)}
    told = [name for name in names if name not in following]
    return sorted(told + [name for name in following if not _follows(name, told, groups.values())])


def own_metrics(rows: Rows) -> list[str]:
    """Names of the metrics that somebody added (``metrics=...``), as the rows' params tell."""
    told = (name.split(".") for row in rows for name in row["params"] if name.startswith("metrics."))
    return sorted({name[1] for name in told})


def _follows(name: str, told: list[str], groups: Iterable[list[dict[str, Any]]]) -> bool:
    """Whether the values of ``told`` say what that of ``name`` is, within each group of alike rows."""
    for alike in groups:
        values: dict[str, str] = {}
        for params in alike:
            value = json.dumps(params.get(name))
            if values.setdefault(json.dumps([params.get(key) for key in told]), value) != value:
                return False
    return True


def split(setting: str) -> tuple[str, str]:
    """``wanda+dori`` → ``("wanda", "dori")``; the attack is empty where there is none."""
    base, _, attack = setting.partition("+")
    return base, attack


def _attacks(rows: Rows, base: str) -> set[str]:
    pairs = (split(row["setting"]) for row in rows)
    return {attack for found, attack in pairs if found == base and attack} or {""}


def _mitigations(rows: Rows) -> set[str]:
    """Every base but the original, the twin and, beside others, the random baseline."""
    settings = {row["setting"] for row in rows if row["kind"] in (*TARGETS, "ordinary")}
    bases = {split(setting)[0] for setting in settings} - {"original", "twin"}
    if len(bases) > 1:
        bases -= {"random"}
    return bases or {"original"}
