"""Which curves a sweep has, and where their points lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dori.results.figures.style import MITIGATED, QUIET, SETTINGS
from dori.results.reading.comparison import Comparison
from dori.results.reading.estimate import Estimate

CONTROLS = {"unseen": "v", "seen": "D"}


@dataclass(frozen=True)
class Curve:
    """One line: how it is told apart, and which figure it shows.

    ``kind``: of the targets; None stands for the comparison's own. ``mitigation``: whose comparisons
    it belongs to; None stands for all (what no mitigation touches).
    """

    label: str
    colour: str
    style: str
    marker: str
    setting: str
    kind: str | None = None
    mitigation: str | None = None


def memorization_curves(found: Sequence[Comparison]) -> list[Curve]:
    """Before and after each attack in colour; the original dotted, the counterfactuals dashed."""
    curves = [Curve("original", SETTINGS["original"], ":", "", "original")]
    if any(c.baseline for c in found):
        curves.append(Curve("random", SETTINGS["random"], "-", "s", "random"))
    pairs = list(dict.fromkeys((c.mitigation, c.attack) for c in found))
    for (base, attack), colour in zip(pairs, _colours(len(pairs)), strict=True):
        name = f"{base} + {attack}"
        curves.append(Curve(base, colour, "-", "o", base, mitigation=base))
        if attack:
            curves.append(Curve(name, colour, "-", "^", f"{base}+{attack}", mitigation=base))
        for kind, marker in CONTROLS.items():
            label, setting = f"{name}, {kind} controls", f"{base}+{attack}"
            curves.append(Curve(label, QUIET, "--", marker, setting, kind, base))
    for attack in dict.fromkeys(attack for _, attack in pairs if attack):
        curves.append(Curve(f"twin + {attack}", SETTINGS["twin"], "--", "P", f"twin+{attack}"))
    return curves


def quality_curves(found: Sequence[Comparison]) -> list[Curve]:
    """The quality on ordinary captions of each mitigation, and of the baseline."""
    bases = list(dict.fromkeys(c.mitigation for c in found))
    curves = [
        Curve(base, colour, "-", "o", base, "ordinary", base)
        for base, colour in zip(bases, _colours(len(bases)), strict=True)
    ]
    return [*curves, Curve("random", SETTINGS["random"], "-", "s", "random", "ordinary")]


def points(
    curve: Curve, metric: str, found: Sequence[Comparison], x: str, places: dict[str, float]
) -> list[tuple[float, Estimate]]:
    """The curve's points by place: (place on the axis, figure)."""
    at: dict[float, Estimate] = {}
    for c in found:
        figure = c.figure(curve.setting, metric, curve.kind)
        if curve.mitigation in (None, c.mitigation) and figure is not None:
            at.setdefault(places[name_of(c.params.get(x))], figure)
    return sorted(at.items(), key=lambda point: point[0])


def places_of(values: Sequence[Any]) -> dict[str, float]:
    """Where each value stands on the axis: numbers at themselves; with others among them, in line."""
    distinct = {name_of(value): value for value in values}
    numbers = {name: value for name, value in distinct.items() if _is_number(value)}
    if len(numbers) == len(distinct):
        return {name: float(value) for name, value in numbers.items()}
    order = sorted(numbers, key=lambda name: numbers[name])
    order += [name for name in distinct if name not in numbers]
    return {name: float(place) for place, name in enumerate(order)}


def name_of(value: Any) -> str:
    """A param's value as it is written at the axis and in tables; ``none`` for null."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def label_of(c: Comparison, names: Sequence[str]) -> str:
    """A comparison's setting, with the values of the params that were swept."""
    values = [f"{name} = {name_of(c.params.get(name))}" for name in names]
    return ", ".join([c.attacked or c.mitigation, *values])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _colours(count: int) -> list[str]:
    return [MITIGATED[index % len(MITIGATED)] for index in range(count)]
