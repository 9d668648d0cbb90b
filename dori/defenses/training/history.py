"""How a training went: a line per epoch that was looked at, the first of them before any update."""

from typing import Any

Line = dict[str, Any]


def scored(history: list[Line], found: Line) -> Line:
    """``found`` with its ``score``: the rate after the attack + the relative rise of the ordinary loss."""
    before = history[0]["ordinary_loss"] if history else found["ordinary_loss"]
    rise = max(0.0, found["ordinary_loss"] / before - 1)
    return {**found, "score": found.get("MR", 0.0) + rise}


def best(history: list[Line]) -> Line | None:
    """The epoch with the lowest score, the first of equals; the untouched model is none of them."""
    return min(history[1:], key=lambda line: line["score"], default=None)


def stalled(history: list[Line], patience: int | None) -> bool:
    """Whether none of the last ``patience`` epochs that were looked at is the best."""
    found = best(history)
    return patience is not None and found is not None and len(history) - 1 - history.index(found) >= patience
