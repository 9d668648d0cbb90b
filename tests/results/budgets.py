"""Made-up rows of attacks at several budgets: copies of 12 memorized pictures, and of 6 controls."""

from typing import Any

from dori.results.rows import merge
from tests.results.conftest import median, target_row

EPSILONS = (0.1, 0.2, 0.4, 0.8)
REACHED = {"wanda": (1, 2, 9, 10), "nemo": (3, 9, 11, 12), "original": (12,) * 4, "twin": (0, 0, 0, 2)}
NONE = {"steps": None, "epsilon": None, "ratio": None}
N = {"verbatim": 12, "seen": 6, "unseen": 6}


def job(pruning: str, steps: tuple[int, ...] = (50,), epsilons: tuple[float, ...] = EPSILONS) -> list[dict]:
    """The rows of one job: the untouched and the pruned model, and the attack on both and on the twin."""
    bare = {"original": 10, pruning: 1, "twin": 0}
    rows = [_row(setting, kind, hits, **NONE) for setting, hits in bare.items() for kind in _kinds(setting)]
    for count in steps:
        for epsilon in epsilons:
            for setting in bare:
                hits = REACHED[setting][EPSILONS.index(epsilon)] * count // 50
                for kind in _kinds(setting):
                    # one control follows at the largest ball, in the untouched model
                    control = int((setting, kind, epsilon) == ("original", "unseen", 0.8))
                    found = _row(
                        f"{setting}+dori", kind, hits, control, steps=count, epsilon=epsilon, ratio=None
                    )
                    found["metrics"]["Displacement"] = median(epsilon, N[kind])
                    rows.append(found)
    return rows


def sweep(**given: Any) -> list[dict]:
    return merge(job(pruning, **given) for pruning in ("wanda", "nemo"))


def _kinds(setting: str) -> tuple[str, ...]:
    return ("verbatim",) if setting == "twin" else tuple(N)


def _row(setting: str, kind: str, hits: int, control: int = 0, **params: Any) -> dict[str, Any]:
    return target_row(setting, kind, hits if kind == "verbatim" else control, N[kind], **params)
