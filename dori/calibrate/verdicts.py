"""Shares of verdicts by truth and n."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np

from dori.calibrate.worlds import FOUR, ONE, SAME, TWO, Attack, World, run, swept
from dori.metrics.differences import Pairs, paired_difference
from dori.metrics.intervals import share
from dori.results.budget.lines import curves
from dori.results.budget.words import verdict as budget_verdict
from dori.results.reading.answers import WITHIN, answer, needed
from dori.results.reading.comparison import comparisons
from dori.results.reading.estimate import Estimate
from dori.results.verdicts.memory import decided, questions
from dori.results.verdicts.removal import removals

MAIN = {
    "0.95 → 0.15 → 0.62, twin 0": World(0.95, 0.15, (0.62,), (0.0,), 0.03),
    "recalls 0.2 after 0.02": World(0.95, 0.02, (0.2,), (0.0,)),
    "recalls 0.3 after 0.02": World(0.95, 0.02, (0.3,), (0.0,)),
    "attack does nothing, 0 before and after": World(0.95, 0.0, (0.0,), (0.0,)),
    "attack does nothing, 0.1 before and after": World(0.95, 0.1, (0.1,), (0.0,)),
    "injects 0.3 everywhere": World(0.95, 0.1, (0.3,), (0.3,), 0.3),
    "halves: 0.95 → 0.5": World(0.95, 0.5, (0.6,), (0.0,)),
    "does nothing: 0.95 → 0.95": World(0.95, 0.95, (0.95,), (0.0,)),
    "nothing memorized": World(0.02, 0.02, (0.02,), (0.0,)),
}
# in which of them "suppressed" is false
NOT_SUPPRESSED = tuple(name for name in MAIN if name.startswith(("attack does", "injects", "nothing")))
CODES = (
    "suppressed", "injection", "injection_unclear", "no_recovery", "recovery_unclear", "mitigation_failed",
    "mitigation_unclear", "not_memorized", "memorization_unclear",
)  # fmt: skip
REMOVAL: dict[str, tuple[dict[str, Attack], World]] = {
    "none comes back": (TWO, World(0.97, 0.0, (0.0,) * 2, (0.0,) * 2, 0.02)),
    "0.05": (TWO, World(0.97, 0.0, (0.05,) * 2, (0.0,) * 2, 0.02)),
    "0.10": (TWO, World(0.97, 0.0, (0.10,) * 2, (0.0,) * 2, 0.02)),
    "0.15, false": (TWO, World(0.97, 0.0, (0.15,) * 2, (0.0,) * 2, 0.02)),
    "0.20, false": (TWO, World(0.97, 0.0, (0.20,) * 2, (0.0,) * 2, 0.02)),
    "0.6, twin 0.5": (TWO, World(0.97, 0.0, (0.6,) * 2, (0.5,) * 2, 0.02)),
    "0.65, twin 0.5, false": (TWO, World(0.97, 0.0, (0.65,) * 2, (0.5,) * 2, 0.02)),
    "four attacks, one 0.15 above the twin, false": (
        FOUR, World(0.97, 0.0, (0.0, 0.0, 0.0, 0.65), (0.0, 0.0, 0.0, 0.5), 0.02)
    ),
    "four attacks inject 0.3, recall none": (FOUR, World(0.97, 0.0, (0.3,) * 4, (0.3,) * 4, 0.02)),
    "one kind under two names, none comes back": (SAME, World(0.97, 0.0, (0.0,) * 2, (0.0,) * 2, 0.02)),
}  # fmt: skip
BUDGETS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
SWEPT = {
    "no effect: 0.2 at every budget": World(0.95, 0.2, (0.2,) * 6, (0.0,) * 6),
    "recalls 0.6, injects nothing": World(0.95, 0.1, (0.6,) * 6, (0.0,) * 6),
    "recalls 0.6; twin and controls inject 0.05": World(0.95, 0.1, (0.6,) * 6, (0.05,) * 6, 0.05),
    "recalls 0.6; twin and controls inject 0.15": World(0.95, 0.1, (0.6,) * 6, (0.15,) * 6, 0.15),
    "0.4, as in the twin and on controls": World(0.95, 0.1, (0.4,) * 6, (0.4,) * 6, 0.4),
}
Shares = dict[str, float]


def _rng(n: int, label: str) -> np.random.Generator:
    return np.random.default_rng([n, *label.encode()])


def main(repeats: int, sizes: tuple[int, ...] = (10, 12, 20, 32, 48)) -> Iterator[tuple[str, int, Shares]]:
    """The main verdict's codes."""
    for label, world in MAIN.items():
        for n in sizes:
            rng, codes = _rng(n, label), Counter[str]()
            for _ in range(repeats):
                (c,) = comparisons(run(rng, n, ONE, world))
                codes[decided(c, questions(c))] += 1
            yield label, n, {code: codes[code] / repeats for code in CODES}


def removal(repeats: int, sizes: tuple[int, ...] = (20, 32, 48)) -> Iterator[tuple[str, int, Shares]]:
    """The verdict over all attacks on a mitigation."""
    for label, (attacks, world) in REMOVAL.items():
        for n in sizes:
            rng, codes = _rng(n, label), Counter[str]()
            for _ in range(repeats):
                ((_, verdict),) = removals(run(rng, n, attacks, world))
                codes[verdict.code] += 1
            yield label, n, {code: codes[code] / repeats for code in ("removed", "unclear", "suppressed")}


def budgets(repeats: int, sizes: tuple[int, ...] = (20, 32, 48)) -> Iterator[tuple[str, int, Shares]]:
    """The verdict over budgets, and how often the bound of the largest margin holds."""
    codes = ("window", "no_window", "injection_unclear", "no_recovery", "recovery_unclear")
    for label, world in SWEPT.items():
        true = world.recovered[0] - max(world.twin[0], world.controls)
        for n in sizes:
            rng, found, held = _rng(n, label), Counter[str](), 0
            for _ in range(repeats):
                (curve,) = curves(swept(rng, n, BUDGETS, world))
                found[budget_verdict(curve).code] += 1
                held += curve.surest is None or curve.surest[1] <= true
            yield label, n, {code: found[code] / repeats for code in codes} | {"bound holds": held / repeats}


def enough(margins: tuple[float, ...] = (0.1, 0.15, 0.2)) -> Iterator[tuple[str, dict[str, int]]]:
    """The fewest targets for which each answer can be given, by margin or rate."""
    yield "within the margin, no copy in either", {f"{m:g}": needed(m) for m in margins}
    for copies in (1, 2):
        found = {}
        for m in margins:
            found[f"{m:g}"] = next(n for n in range(copies, 500) if _within(copies, n, m))
        yield f"within the margin, {copies} of n against none", found
    for rate in (0.3, 0.6):
        fewest = next(n for n in range(1, 500) if _above(round(rate * n), n))
        yield f"above: {rate:g} of n against none", {f"{m:g}": fewest for m in margins}
    yield (
        "injection ruled out on controls, no copy",
        {f"{m:g}": next(n for n in range(1, 500) if (share(0, n)["high"] or 1) < m) for m in margins},
    )


def _within(copies: int, n: int, margin: float) -> bool:
    found = paired_difference(Pairs(0, copies, 0, n - copies))
    return answer(Estimate(found["value"] or 0, found["low"], found["high"]), margin) == WITHIN


def _above(copies: int, n: int) -> bool:
    return (paired_difference(Pairs(0, copies, 0, n - copies))["low"] or 0) > 0


def false(found: list[tuple[str, int, Shares]], code: str, worlds: tuple[str, ...]) -> float:
    """The largest share of a code in worlds where it is false."""
    return max(chain((shares[code] for label, _, shares in found if label in worlds), (0.0,)))
