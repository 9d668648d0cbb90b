"""Rows of made-up runs whose truth is known, as a study would write them.

A prompt has a latent strength; two settings' outcomes of a prompt correlate by ``RHO`` on that scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dori.metrics.differences import Pairs, paired_difference
from dori.metrics.intervals import Estimate, share

RHO = 0.5
CONTROLS = {10: 5, 12: 6, 20: 10, 32: 48, 48: 48}  # of each kind, for so many targets
Hits = NDArray[np.bool_]
Row = dict[str, Any]
Attack = dict[str, Any]  # the params of its rows
ONE: dict[str, Attack] = {"dori": {"steps": 50, "start": "prompt"}}
TWO = {**ONE, "dori_gaussian": {"steps": 50, "start": "gaussian"}}
SAME = {**ONE, "dori_4x": {"steps": 200, "start": "prompt"}}
FOUR = {**TWO, "dori_4x": {"steps": 200, "start": "prompt"}, "initial_noise": {"steps": 50, "space": "Noise"}}


@dataclass(frozen=True)
class World:
    """True rates: of the original, after the mitigation, attacked, there in the twin, on controls."""

    original: float
    after: float
    recovered: tuple[float, ...]
    twin: tuple[float, ...]
    controls: float = 0.0


class Prompts:
    """Outcomes of n prompts under settings of given rates."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.rng, self.strength = rng, rng.standard_normal(n)

    def hits(self, rate: float) -> Hits:
        """Which prompts replicate at a true rate, boolean (n,)."""
        own = self.rng.standard_normal(len(self.strength))
        found: Hits = np.sqrt(RHO) * self.strength + np.sqrt(1 - RHO) * own < stats.norm.ppf(rate)
        return found


@cache
def _rate(k: int, n: int) -> Estimate:
    return share(k, n)


@cache
def _difference(*pairs: int) -> Estimate:
    return paired_difference(Pairs(*pairs))


def difference(one: Hits, other: Hits) -> Estimate:
    """As in a row: of one setting and another on the same prompts."""
    return _difference(*map(int, ((one & other).sum(), (one & ~other).sum(), (~one & other).sum(),
                                  (~one & ~other).sum())))  # fmt: skip


def row(setting: str, kind: str, hits: Hits, params: Attack | None = None, **compared: Hits) -> Row:
    """``compared``: by metric, the outcomes that it is the difference to."""
    metrics: dict[str, Any] = {"MR": _rate(int(hits.sum()), len(hits))}
    metrics |= {f"MR_{name}": difference(hits, other) for name, other in compared.items()}
    given = {"steps": None, "start": None, "epsilon": None, **(params or {})}
    return {
        "setting": setting, "kind": kind, "model": "made up", "params": given, "metrics": metrics,
        "failed": [],
    }  # fmt: skip


def run(rng: np.random.Generator, n: int, attacks: dict[str, Attack], world: World) -> list[Row]:
    """Rows of one mitigation under attacks."""
    mine, name = Prompts(rng, n), "wanda"
    other = {kind: Prompts(rng, CONTROLS[n]) for kind in ("unseen", "seen")}
    before, mitigated, alone = mine.hits(world.original), mine.hits(world.after), mine.hits(0)
    rows = [row("original", "verbatim", before), row(name, "verbatim", mitigated, difference=before),
            row("twin", "verbatim", alone, difference=before)]  # fmt: skip
    rows += [row(s, kind, p.hits(0)) for kind, p in other.items() for s in ("original", name)]
    for (attack, params), recovered, twin in zip(attacks.items(), world.recovered, world.twin, strict=True):
        there, here = mine.hits(twin), mine.hits(recovered)
        rows.append(row(f"twin+{attack}", "verbatim", there, params, difference=alone))
        rows.append(row(f"{name}+{attack}", "verbatim", here, params, difference=mitigated, over_twin=there))
        rows += [row(f"{name}+{attack}", kind, p.hits(world.controls), params) for kind, p in other.items()]
    return rows


def swept(rng: np.random.Generator, n: int, budgets: Sequence[float], world: World) -> list[Row]:
    """Rows of one attack at several budgets; the world has a rate for each."""
    attacks = {f"dori at {budget}": {"epsilon": budget} for budget in budgets}
    rows = run(rng, n, attacks, world)
    for each in rows:
        each["setting"] = each["setting"].partition(" at ")[0]
    return rows
