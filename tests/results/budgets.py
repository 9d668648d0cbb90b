"""Made-up rows of attacks at several budgets: copies of 48 memorized pictures, and of as many controls."""

from typing import Any

from dori.results.reading.rows import merge
from tests.made_up import add_differences, median, target_row

EPSILONS = (0.1, 0.2, 0.4, 0.8)
REACHED = {"wanda": (4, 8, 36, 40), "nemo": (12, 36, 44, 48), "original": (48,) * 4, "twin": (0, 0, 0, 8)}
NONE = {"steps": None, "epsilon": None, "ratio": None}
N = dict.fromkeys(("verbatim", "seen", "unseen"), 48)


def job(pruning: str, steps: tuple[int, ...] = (50,), epsilons: tuple[float, ...] = EPSILONS) -> list[dict]:
    """The rows of one job: the untouched and the pruned model, and the attack on both and on the twin."""
    bare = {"original": 40, pruning: 4, "twin": 0}
    rows = [_row(setting, kind, hits, **NONE) for setting, hits in bare.items() for kind in _kinds(setting)]
    found = add_differences(rows)
    for count in steps:
        for epsilon in epsilons:
            attacked = []
            for setting in bare:
                hits = REACHED[setting][EPSILONS.index(epsilon)] * count // 50
                for kind in _kinds(setting):
                    # four controls follow at the largest ball, in the untouched model
                    control = 4 * int((setting, kind, epsilon) == ("original", "unseen", 0.8))
                    row = _row(
                        f"{setting}+dori", kind, hits, control, steps=count, epsilon=epsilon, ratio=None
                    )
                    row["metrics"]["Displacement"] = median(epsilon, N[kind])
                    attacked.append(row)
            found = [*found, *add_differences([*rows, *attacked])[len(rows) :]]
    return found


def sweep(**given: Any) -> list[dict]:
    return merge(job(pruning, **given) for pruning in ("wanda", "nemo"))


def _kinds(setting: str) -> tuple[str, ...]:
    return ("verbatim",) if setting == "twin" else tuple(N)


def _row(setting: str, kind: str, hits: int, control: int = 0, **params: Any) -> dict[str, Any]:
    return target_row(setting, kind, hits if kind == "verbatim" else control, N[kind], **params)
