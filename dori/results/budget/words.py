"""What attacks at several budgets say: a verdict for each curve, and a table of their points."""

from collections.abc import Iterator, Sequence

from dori.results.budget.injection import Counterfactual, Curve, Point
from dori.results.figures.curves import name_of
from dori.results.reading.answers import UNDECIDED, WITHIN
from dori.results.reading.block import Block
from dori.results.reading.comparison import split
from dori.results.reading.estimate import MISSING, number, with_interval
from dori.results.verdicts.questions import Verdict, cite

TITLE = "What budget brings memory back, and what budget injects"
CAPTION = (
    "Bands are 95 % intervals; “none”: without the attack. Dashed is the same attack where there is nothing "
    "to recall: what it reaches there is injected. The vertical line is the injection point. Displacement is "
    "the median over targets. Lines are set a little apart, so that equal ones can be seen."
)
WORDS = {
    "recovery point": "smallest budget from which on the MR of memorized images lies above that without the "
    "attack, beyond the 95 % interval of the difference",
    "injection point": "smallest budget at which the attack makes more than a few copies (margins.control) "
    "where there is nothing to recall: in the twin, or of control pictures in the mitigated or the original "
    "model",
    "window": "budgets at which memorized images come back and, from the smallest budget on, injection is "
    "ruled out up to the margin (margins.rate)",
    "margin": "MR of memorized images above that of the highest counterfactual at the same budget",
}


def verdict(curve: Curve) -> Verdict:
    """Recovery point, injection point, what lies between them, and how far the embeddings moved."""
    if window := curve.window:
        code, headline = "window", f"Recalled, not injected, at {_range(curve, window)}"
    elif curve.answer == WITHIN:
        code, headline = "no_recovery", "No budget brings the pictures back"
    elif curve.answer == UNDECIDED:
        code, headline = "recovery_unclear", "Undecided whether any budget brings the pictures back"
    elif curve.recovery and curve.injection and curve.injection.budget <= curve.recovery.budget:
        code, headline = "no_window", "Wherever the pictures come back, some are injected as well"
    else:
        code, headline = "injection_unclear", "The pictures come back; whether injected is undecided"
    return Verdict(code, headline, " ".join(_sentences(curve)), tuple(_notes(curve)))


def _sentences(curve: Curve) -> Iterator[str]:
    if first := curve.recovery:
        yield f"Recovery point: {_at(curve, first)}{_moved(first)}."
    else:
        highest = max(curve.points, key=lambda point: point.rate.value)
        yield f"The highest rate is {cite(highest.rate)}, at {_at(curve, highest)}{_moved(highest)}."
    begins, last = curve.injection, curve.points[-1]
    if begins:
        yield f"Injection point: {_at(curve, begins)}, where {' and '.join(map(_copies, begins.injecting))}."
    elif last.counterfactuals:
        told = "; ".join(map(_copies, last.counterfactuals))
        yield f"No injection point up to {_at(curve, last)}: {told}."
    else:
        yield "There is no twin and no attacked control, so nothing is known of injection."
    if surest := curve.surest:
        point, low = surest
        yield f"The margin is at least {number(low)}, at {_at(curve, point)} (for all budgets at once)."


def _notes(curve: Curve) -> Iterator[str]:
    first, begins = curve.recovery, curve.injection
    if first and begins and 0 < first.budget < begins.budget:
        yield f"Injection takes {number(begins.budget / first.budget, 1)} times the budget of the recovery."
    if half := curve.half_injected:
        names = " and ".join(_where(each) for each in half.counterfactuals if each.half)
        yield f"From {_at(curve, half)} on, half the targets are copies {names}."
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
    columns = ("attack", "recovery", "moved", "injection", "moved", "by", "margin at least")
    lines = []
    for curve in found:
        first, begins, surest = curve.recovery, curve.injection, curve.surest
        by = begins.injecting[0] if begins else None
        lines.append((
            _short(curve),
            name_of(first.budget) if first else MISSING, number(_value(first)),
            name_of(begins.budget) if begins else f"> {name_of(curve.points[-1].budget)}",
            number(by.displacement.value) if by and by.displacement else MISSING,
            f"{by.setting}, {by.kind}" if by else MISSING,
            number(surest[1] if surest else None),
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
    return f"{each.rate.count} of {each.rate.n} are copies {_where(each)}, up to {number(each.rate.high)}"
