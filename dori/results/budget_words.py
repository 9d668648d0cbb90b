"""What attacks at several budgets say: a verdict for each curve, and a table of their points."""

from collections.abc import Iterator, Sequence

from dori.results.comparison import split
from dori.results.curves import name_of
from dori.results.estimate import MISSING, number, with_interval
from dori.results.injection import Counterfactual, Curve, Point
from dori.results.table import Block
from dori.results.verdict import Verdict, cite

TITLE = "What budget brings memory back, and what budget injects"
CAPTION = (
    "Bands are 95 % intervals; “none”: without the attack. Dashed is the same attack where there is nothing "
    "to recall: what it reaches there is injected. The vertical line is the injection point. Displacement is "
    "the median over targets. Lines are set a little apart, so that equal ones can be seen."
)
WORDS = {
    "recovery point": "smallest budget at which the MR of memorized images lies above that without the "
    "attack, beyond the 95 % interval of the difference",
    "injection point": "smallest budget at which the attack makes a copy (SSCD above 0.7) where there is "
    "nothing to recall: in the twin, or of a control picture in the mitigated or the original model",
    "window": "budgets from the one to below the other: memorized images come back, and nothing is injected",
    "margin": "MR of memorized images above that of the highest counterfactual at the same budget",
}


def verdict(curve: Curve) -> Verdict:
    """Recovery point, injection point, what lies between them, and how far the embeddings moved."""
    first, window = curve.recovery, curve.window
    if window:
        code, headline = "window", f"Recalled, not injected, at {_range(curve, window)}"
    elif first:
        code, headline = "no_window", "Wherever the pictures come back, some are injected as well"
    else:
        code, headline = "no_recovery", "No budget brings the pictures back beyond the intervals"
    return Verdict(code, headline, " ".join(_sentences(curve)), tuple(_notes(curve)))


def _sentences(curve: Curve) -> Iterator[str]:
    first, begins, widest = curve.recovery, curve.injection, curve.widest
    before = curve.points[0].before
    if before:
        yield f"Without the attack, {curve.mitigation} leaves MR {cite(before)} on {curve.kind} targets."
    if first:
        change = f", a change of {with_interval(first.change)}" if first.change else ""
        yield f"Recovery point: {_at(curve, first)}, with MR {cite(first.rate)}{change}{_moved(first)}."
    else:
        highest = max(curve.points, key=lambda point: point.rate.value)
        yield f"The highest rate is {cite(highest.rate)}, at {_at(curve, highest)}{_moved(highest)}."
    if begins:
        yield f"Injection point: {_at(curve, begins)}, where {' and '.join(map(_copies, begins.injecting))}."
    elif curve.points[-1].counterfactuals:
        yield f"No injection point up to {_at(curve, curve.points[-1])}: the attack makes no copy elsewhere."
    else:
        yield "There is no twin and no attacked control, so nothing is known of injection."
    if first and begins and 0 < first.budget < begins.budget:
        yield f"That takes {number(begins.budget / first.budget, 1)} times the budget of the recovery."
    if widest and widest.margin:
        yield f"Margin, at its largest: {with_interval(widest.margin)}, at {_at(curve, widest)}."


def _notes(curve: Curve) -> Iterator[str]:
    if half := curve.half_injected:
        names = " and ".join(_where(each) for each in half.counterfactuals if each.half)
        yield f"From {_at(curve, half)} on, half the targets are copies {names}."
    elif curve.injection:
        yield "One copy is enough for an injection point; at no budget is half of any counterfactual copies."
    missing = {"twin", curve.mitigation, "original"} - {
        split(each.setting)[0] for each in curve.points[-1].counterfactuals
    }
    if missing and curve.points[-1].counterfactuals:
        yield f"Not attacked, so not looked at: controls of {', '.join(sorted(missing))}."


def tables(found: Sequence[Curve]) -> list[Block]:
    """Every budget with its counterfactuals; and one line per curve with its two points."""
    return [_budgets(found), _points(found)]


def _budgets(found: Sequence[Curve]) -> Block:
    axis = found[0].axis
    lines = []
    for curve in found:
        for point in curve.points:
            twin = [c.rate for c in point.counterfactuals if c.kind == curve.kind]
            controls = [c.rate.value for c in point.counterfactuals if c.kind != curve.kind]
            lines.append((
                _short(curve), name_of(point.budget), with_interval(point.rate),
                with_interval(twin[0] if twin else None), number(max(controls, default=None)),
                with_interval(point.margin), number(_value(point)),
            ))  # fmt: skip
    title = f"MR [95 % interval] of {found[0].kind} targets (n = {found[0].points[0].rate.n}) by {axis}"
    columns = ("attack", axis, "attacked", "twin, attacked", "controls*", "margin", "moved")
    return Block(f"{title}; *the highest of them", columns, tuple(lines), 1)


def _points(found: Sequence[Curve]) -> Block:
    columns = ("attack", "recovery", "moved", "injection", "moved", "by", "largest margin")
    lines = []
    for curve in found:
        first, begins, widest = curve.recovery, curve.injection, curve.widest
        by = begins.injecting[0] if begins else None
        lines.append((
            _short(curve),
            name_of(first.budget) if first else MISSING, number(_value(first)),
            name_of(begins.budget) if begins else f"> {name_of(curve.points[-1].budget)}",
            number(by.displacement.value) if by and by.displacement else MISSING,
            f"{by.setting}, {by.kind}" if by else MISSING,
            with_interval(widest.margin if widest else None),
        ))  # fmt: skip
    return Block(f"Recovery and injection point, by {found[0].axis}", columns, tuple(lines), 1)


def _short(curve: Curve) -> str:
    values = [f"{name}={name_of(value)}" for name, value in curve.others.items()]
    return ", ".join([f"{curve.mitigation}+{curve.attack}", *values])


def _at(curve: Curve, point: Point) -> str:
    return f"{curve.axis} = {name_of(point.budget)}"


def _range(curve: Curve, window: list[Point]) -> str:
    ends = " to ".join(name_of(p.budget) for p in dict.fromkeys((window[0], window[-1])))
    return f"{curve.axis} = {ends}"


def _value(point: Point | None) -> float | None:
    return point.displacement.value if point and point.displacement else None


def _moved(point: Point) -> str:
    value = _value(point)
    return "" if value is None else f", embeddings moved by {number(value)} of their norm"


def _where(each: Counterfactual) -> str:
    base = split(each.setting)[0]
    return "in the twin" if base == "twin" else f"of {each.kind} controls in {base}"


def _copies(each: Counterfactual) -> str:
    copies = round(each.rate.value * each.rate.n) if each.rate.n else 0
    moved = f", moved by {number(each.displacement.value)}" if each.displacement else ""
    return f"{copies} of {each.rate.n} are copies {_where(each)} (MR {with_interval(each.rate)}{moved})"
