"""One figure with its interval and n, as it stands in a row, and how it is written."""

import math
from dataclasses import dataclass, replace

from dori.results.reading.rows import Row

MISSING = "–"


@dataclass(frozen=True)
class Estimate:
    """A metric's value; ``low`` and ``high`` bound its 95 % interval; ``n`` counts what it is over.

    ``pairs``: of a paired difference, the prompts that both have, the first alone, the second alone, neither;
    ``p``: of the test that a difference was put to.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    mad: float | None = None
    pairs: tuple[int, ...] | None = None
    p: float | None = None

    @property
    def count(self) -> int:
        """Of a share, how many it counts."""
        return round(self.value * (self.n or 0))

    def scaled(self, factor: float) -> "Estimate":
        """In another unit."""
        value, low, high = (None if x is None else factor * x for x in (self.value, self.low, self.high))
        assert value is not None
        return replace(self, value=value, low=low, high=high)

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
    pairs = entry.get("pairs")
    return Estimate(**{field: entry.get(field) for field in fields}, pairs=pairs and tuple(pairs))


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
    return number(value, decimals(value, digits))


def decimals(value: float | None, digits: int = 3) -> int:
    """How many decimals show so many significant digits.

    >>> decimals(16.01), decimals(0.00123), decimals(1234.5)
    (1, 5, 0)
    """
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else digits - 1


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
