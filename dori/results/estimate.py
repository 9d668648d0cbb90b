"""One figure with its interval and n, as it stands in a row, and how it is written."""

import math
from dataclasses import dataclass

from scipy import stats

from dori.results.rows import Row

MISSING = "–"


@dataclass(frozen=True)
class Estimate:
    """A metric's value; ``low`` and ``high`` bound its 95 % interval; ``n`` counts what it is over."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    mad: float | None = None

    @property
    def width(self) -> float:
        """The interval's width; 0 where there is none."""
        return 0.0 if self.low is None or self.high is None else self.high - self.low


def estimate(row: Row | None, metric: str) -> Estimate | None:
    """The row's figure, or None where the row, the metric or its value is missing."""
    entry = (row or {}).get("metrics", {}).get(metric)
    if not entry or entry.get("value") is None:
        return None
    fields = ("value", "low", "high", "n", "mad")
    return Estimate(**{field: entry.get(field) for field in fields})


def above(one: Estimate, other: Estimate) -> bool:
    """Whether ``one`` lies above ``other`` beyond both intervals (a point is its own interval)."""
    low = one.value if one.low is None else one.low
    high = other.value if other.high is None else other.high
    return low > high


def share_above(one: Estimate, other: Estimate) -> bool:
    """Whether one share lies above another of other prompts: Fisher's exact test, at 5 %.

    A share without its n (a bound to beat) is compared with the interval.
    """
    if not one.n or not other.n:
        return above(one, other)
    counts = [(round(share.value * share.n), share.n) for share in (one, other) if share.n]
    table = [[k, n - k] for k, n in counts]
    return one.value > other.value and stats.fisher_exact(table).pvalue < 0.05


def differs(one: Estimate, other: Estimate, difference: Estimate | None) -> bool:
    """Whether one share lies above another: by their paired difference, of either sign, if there is one."""
    if difference is None or difference.low is None or difference.high is None:
        return share_above(one, other)
    return one.value > other.value and (difference.low > 0 or difference.high < 0)


def number(value: float | None, digits: int = 2) -> str:
    """``0.71``, with a true minus sign, and none before a zero."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def significant(value: float | None, digits: int = 3) -> str:
    """Three significant digits: an FID is about 16 for Stable Diffusion and 0.1 for minnow."""
    if not value:
        return number(value, digits - 1)
    return number(value, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def with_interval(figure: Estimate | None, digits: int = 2) -> str:
    """``0.71 [0.56, 0.83]``; without the interval where there is none."""
    if figure is None:
        return MISSING
    if figure.low is None or figure.high is None:
        return number(figure.value, digits)
    bounds = f"[{number(figure.low, digits)}, {number(figure.high, digits)}]"
    return f"{number(figure.value, digits)} {bounds}"


def with_deviation(figure: Estimate | None, digits: int = 2) -> str:
    """``0.76 ± 0.05``: median ± median absolute deviation."""
    if figure is None:
        return MISSING
    if figure.mad is None:
        return number(figure.value, digits)
    return f"{number(figure.value, digits)} ± {number(figure.mad, digits)}"


def counted(figure: Estimate | None) -> str:
    """n, with thousands set apart."""
    return MISSING if figure is None or figure.n is None else f"{figure.n:,}"
