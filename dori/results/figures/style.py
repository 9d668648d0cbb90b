"""Colours and settings that the figures share: safe for colour-blind readers, readable in grey."""

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from PIL import ImageFont

INK = "#22252a"
QUIET = "#8b9099"
LINE = "#d5d8dd"
REPLICA = "#c8501e"  # vermilion, dark in grey: above the threshold
SETTINGS = {"original": INK, "random": QUIET, "twin": "#0072b2"}
MITIGATED = ("#c8501e", "#009e73", "#7a4fa3", "#b8860b")

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
DPI = 160


def styled() -> AbstractContextManager[None]:
    """A context in which figures must be built, so that no global setting of a caller changes."""
    return rc_context(RC)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without the date and version that would make its bytes differ."""
    figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": None})


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans for PIL; ``size`` in pixels."""
    # matplotlib carries DejaVu, so the grid looks the same on a machine without any fonts
    weight = "bold" if bold else "normal"
    return ImageFont.truetype(font_manager.findfont(f"DejaVu Sans:{weight}"), size)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """Words in at most ``most`` lines of ``width`` pixels, with an ellipsis where cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} …"]
