"""The figures of attacks at several budgets, gathered from the rows."""

from typing import Any

from dori.results.budget.injection import Counterfactual, Curve, Point
from dori.results.figures.curves import name_of
from dori.results.reading.answers import apart
from dori.results.reading.comparison import Comparison, kinds_of, split, varying
from dori.results.reading.estimate import Estimate
from dori.results.reading.rows import Row, Rows

AXES = ("epsilon", "steps", "restarts")


def axis_of(rows: Rows, x: str | None = None) -> str | None:
    """The budget that attacks were given several of: ``x`` where it is one, else the first of AXES."""
    swept = [name for name in varying([row for row in rows if "+" in row["setting"]]) if name in AXES]
    order = sorted(swept, key=AXES.index)
    return x if x in swept else next(iter(order), None)


def curves(rows: Rows, x: str | None = None) -> list[Curve]:
    """One curve per attacked model and choice of everything else, about the first kind of target.

    Empty where no attack has two budgets to compare, or none is a number.
    """
    axis = axis_of(rows, x)
    kind = next(iter(kinds_of(rows)), None)
    if axis is None or kind is None:
        return []
    names = [name for name in varying(rows) if name != axis]
    bases = {split(row["setting"])[0] for row in rows if "+" in row["setting"]} - {"twin"}
    bases = bases - {"original"} or bases
    found: dict[str, tuple[Row, dict[str, Any], list[Point]]] = {}
    for row in rows:
        base, attack = split(row["setting"])
        budget = row["params"].get(axis)
        if row["kind"] != kind or not attack or base not in bases or not isinstance(budget, int | float):
            continue
        c = Comparison(rows, base, attack, row["params"], kind)
        others = {name: row["params"].get(name) for name in names if row["params"].get(name) is not None}
        entry = found.setdefault(repr((row["setting"], others)), (row, others, []))
        if point := _point(c, float(budget), axis):
            entry[2].append(point)
    return [
        Curve(*split(row["setting"]), kind, axis, others, tuple(sorted(points, key=lambda p: p.budget)))
        for row, others, points in found.values()
        if len(points) > 1
    ]


def _point(c: Comparison, budget: float, axis: str) -> Point | None:
    rate = c.figure(c.attacked, "MR")
    if rate is None:
        return None
    settings = [(c.attacked_twin, c.kind)]
    settings += [(f"{base}+{c.attack}", kind) for base in dict.fromkeys((c.mitigation, "original"))
                 for kind in ("unseen", "seen")]  # fmt: skip
    counterfactuals = (_counterfactual(c, setting, kind, budget, axis) for setting, kind in settings)
    return Point(
        budget, rate, c.figure(c.mitigation, "MR"), c.difference(c.attacked, "difference"),
        c.difference(c.attacked, "over_twin"), c.figure(c.attacked, "Displacement"),
        tuple(each for each in counterfactuals if each), c.margins,
    )  # fmt: skip


def _counterfactual(
    c: Comparison, setting: str, kind: str, budget: float, axis: str
) -> Counterfactual | None:
    row = c.row(setting, kind)
    rate = c.figure(setting, "MR", kind)
    # the row that agrees best is of another budget where this one was not run
    if row is None or rate is None or row["params"].get(axis) != budget:
        return None
    before = c.figure(split(setting)[0], "MR", kind)
    change = c.difference(setting, "difference", kind) or apart(rate, before or Estimate(0.0))
    return Counterfactual(
        setting, kind, rate, before, change, c.figure(setting, "SSCD_Orig", kind),
        c.figure(setting, "Displacement", kind),
    )  # fmt: skip


def label(curve: Curve) -> str:
    """``wanda + dori, steps = 50``."""
    values = [f"{name} = {name_of(value)}" for name, value in curve.others.items()]
    return ", ".join([f"{curve.mitigation} + {curve.attack}", *values])
