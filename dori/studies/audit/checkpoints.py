"""Audits of several checkpoints beside each other: copies against steps, and the last clean one."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.curves import name_of
from dori.results.figures.style import INK, QUIET, REPLICA, save, styled
from dori.results.finding import Finding
from dori.results.reading.comparison import varying
from dori.results.reading.rows import Rows
from dori.results.tables.table import Block
from dori.results.verdicts.questions import Verdict

TITLE = "Copies, checkpoint by checkpoint"
LINES = {
    "Copied": (REPLICA, "-", "copied"), "Copied_caption": (INK, "--", "of these from their caption"),
    "base": (QUIET, ":", "by the base, too"),
}  # fmt: skip
WORDS = {
    "Copied": "training pictures that can be got out of the model, and not out of its base, by any way tried",
    "Copied_caption": "those that come from their own caption",
    "Copied_prompt": "those that come from another prompt",
    "Elicited": "those that come only by guidance from the base, or by DoRI",
}


def findings(rows: Rows, x: str | None = None) -> list[Finding]:
    """Of several audits the curve; one alone has its own report."""
    lines = checkpoints(rows, x)
    if len(lines) < 2:
        return []
    return [
        Finding(
            title=TITLE, file="audit.png",
            caption="Share of the training pictures, with 95 % intervals of what is copied at all.",
            write=lambda path: write_curve(path, lines), verdicts=[("", verdict(lines))],
            tables=[table(lines)], words=WORDS,
        )
    ]  # fmt: skip


def checkpoints(rows: Rows, x: str | None = None) -> list[tuple[str, dict[str, Mapping[str, Any]]]]:
    """(label, figures by name) of each audit, in the order of the numbers in their labels."""
    swept = varying(rows)
    names = [x] if x in swept else swept
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        label = ", ".join(name_of(row["params"].get(name)) for name in names)
        own = found.setdefault(label, {})
        if row["setting"] == "base":
            own["base"] = row["metrics"]["Copied"]
        else:
            own |= row["metrics"]
    return sorted(found.items(), key=lambda item: natural(item[0]))


def natural(text: str) -> list[Any]:
    """
    >>> sorted(["ckpt-1000", "ckpt-500"], key=natural)
    ['ckpt-500', 'ckpt-1000']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text)]


def verdict(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> Verdict:
    """The last checkpoint before the first with a copy."""
    copied = [round((each["Copied"]["value"] or 0) * each["Copied"]["n"]) for _, each in lines]
    first = next((i for i, count in enumerate(copied) if count), len(lines))
    n = lines[0][1]["Copied"]["n"]
    if first == len(lines):
        return Verdict(
            "clean", "No checkpoint gives a training picture back",
            f"None of {n} pictures came out of any of {len(lines)} checkpoints, up to this budget.",
        )  # fmt: skip
    later = ", ".join(f"{label} {count}" for (label, _), count in zip(lines, copied, strict=True))
    if not first:
        head = f"No clean checkpoint: already {lines[0][0]} gives training pictures back"
        return Verdict("none_clean", head, f"Copies of {n}: {later}.")
    return Verdict(
        "last_clean", f"The last clean checkpoint is {lines[first - 1][0]}", f"Copies of {n}: {later}."
    )


def table(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> Block:
    """A line for each checkpoint, with counts."""
    columns = (
        "checkpoint",
        "copied",
        "from captions",
        "from other prompts",
        "by elicitation",
        "base, too",
        "n",
    )
    names = ("Copied", "Copied_caption", "Copied_prompt", "Elicited", "base")
    cells = [
        (label, *(_count(each.get(name)) for name in names), str(each["Copied"]["n"]))
        for label, each in lines
    ]
    return Block(TITLE, columns, tuple(cells), labels=1)


def _count(figure: Mapping[str, Any] | None) -> str:
    return "–" if figure is None or figure["value"] is None else str(round(figure["value"] * figure["n"]))


def write_curve(path: Path, lines: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Shares against the checkpoints' numbers, where each has one of its own."""
    numbers = [re.findall(r"\d+", label) for label, _ in lines]
    # the number that tells them apart: of checkpoint-500-v1 the 500
    at: list[float] = [float(found[0]) if found else i for i, found in enumerate(numbers)]
    told = len({*at}) == len(at)
    at = at if told else [float(i) for i in range(len(lines))]
    with styled():
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for name, (colour, dashes, label) in LINES.items():
            found = [(x, each[name]) for x, (_, each) in zip(at, lines, strict=True) if name in each]
            if not found:
                continue
            xs, values = [x for x, _ in found], [each["value"] or 0 for _, each in found]
            axes.plot(xs, values, dashes, color=colour, marker="o", markersize=3.5, label=label)
            if name == "Copied":
                low, high = ([each[key] or 0 for _, each in found] for key in ("low", "high"))
                axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(ylim=(-0.03, 1.03), ylabel="share of training pictures", xlabel="" if told else "checkpoint")
        if told:
            axes.set_xticks(at, [label for label, _ in lines], rotation=30, ha="right")
        axes.legend(loc="upper left")
        save(figure, path)
