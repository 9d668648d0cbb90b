"""The figures of a run under names that all runs share, so that runs of other methods have common columns.

``original``, ``random``, ``mitigated``, ``attacked``, ``twin`` and ``twin_attacked`` say what became of
memorized pictures, whatever the method is called; ``control/unseen`` and ``control/seen`` what the same
attack gives of the controls. Quality stands beside them: ``mitigated/FID``. Where an attack has several
budgets, the figures are those of the largest; the others are curves.
"""

from collections.abc import Sequence

from dori.results.reading.comparison import MEMORIZED
from dori.results.reading.rows import Row, Rows, plain
from dori.results.reading.words import KINDS

CONTROLS = ("unseen", "seen")
BOUNDED = ("MR", "MR_difference", "MR_over_twin")
WITH_BOUNDS = ("original", "mitigated", "attacked", "twin_attacked")
# what a table of runs is read by, by where a figure stands; everything else is in rows.json
MEMORY = ("MR", "MR_one", "MR_difference", "MR_over_twin", "SSCD_Orig", "Displacement", "Work")
FAMILIES, CONTROL = ("MR", "SSCD_Frame"), ("MR",)
QUALITY = ("FID", "FID_ratio", "KID", "KID_difference", "A_CLIP")
OWN = ("original", "random", "twin")


def summary(rows: Rows) -> dict[str, float]:
    """``{"attacked/MR": 0.62, "attacked/MR_low": 0.44, ...}``; of other studies, each metric by its row."""
    found: dict[str, float] = {}
    for row in sorted(rows, key=_size):  # the largest budget comes last, and stays
        name, figures = place(row, rows), plain(row["metrics"])
        for metric in _wanted(row["kind"], name, list(figures)):
            entry = figures.get(metric) or {}
            bounds = {"_low": "low", "_high": "high"} if metric in BOUNDED and name in WITH_BOUNDS else {}
            parts = {"": "value", **bounds} | ({"_n": "n"} if bounds and metric == "MR" else {})
            for suffix, part in parts.items():
                if name and entry.get(part) is not None:
                    found[f"{name}/{metric}{suffix}"] = entry[part]
    return found


def _wanted(kind: str, name: str, everything: list[str]) -> Sequence[str]:
    if kind not in KINDS:
        return everything
    if kind == "ordinary":
        return QUALITY
    if kind in CONTROLS:
        return CONTROL
    return FAMILIES if "/" in name or name == "random" else MEMORY


def place(row: Row, rows: Rows) -> str:
    """Where a row's figures stand; nowhere, if they are those of another row in other clothes."""
    setting, kind = row["setting"], row["kind"]
    if kind not in KINDS or ">" in setting:
        return f"{setting}/{kind}"
    role = role_of(setting)
    if kind in CONTROLS:
        last = "attacked" if any(role_of(r["setting"]) == "attacked" for r in rows) else "mitigated"
        return f"control/{kind}" if role == last else ""
    memorized = [each for each in MEMORIZED if any(r["kind"] == each for r in rows)]
    return f"{role}/{kind}" if kind in memorized[1:] else role


def role_of(setting: str) -> str:
    """``wanda`` → ``mitigated``, ``wanda+dori`` → ``attacked``, ``twin+dori`` → ``twin_attacked``."""
    base, attack, _ = setting.partition("+")
    if base in OWN:
        return f"{base}_attacked" if attack else base
    return "attacked" if attack else "mitigated"


def _size(row: Row) -> tuple[float, float]:
    """Of the budget: steps, and a ball without a bound is the largest."""
    steps, epsilon = (row["params"].get(key) for key in ("steps", "epsilon"))
    return steps or 0, float("inf") if epsilon is None else epsilon
