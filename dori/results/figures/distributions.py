"""The distribution of similarities before and after: one dot per prompt, so that n can be seen."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.grid import THRESHOLD
from dori.results.figures.style import INK, LINE, QUIET, REPLICA, save, styled
from dori.results.reading.rows import at_largest_budget
from dori.results.reading.words import KINDS, kind_title, rank, setting_meaning, setting_rank

STRIP = 0.27  # inches of height per strip
SPREAD = 0.32  # of the room of a strip that dots may fill on either side
BINS = 80  # dots in one of these steps of similarity lie side by side


def write_distributions(path: Path, images: pd.DataFrame, threshold: float = THRESHOLD) -> None:
    """Write a PNG of the highest SSCD over seeds of every prompt, by kind and setting.

    Dots above the threshold are filled, the others hollow; a bar marks the median. Templates have a
    second panel for the frame alone. Of several budgets, the largest is shown.
    """
    images, budget = at_largest_budget(images)
    panels = _panels(images)
    heights = [len(panel) + 1.2 for _, panel in panels]
    with styled():
        figure = Figure(figsize=(8.2, STRIP * (sum(heights) + 2.2)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, (title, panel) in zip(grid[:, 0], panels, strict=True):
            _draw(axes, title, panel, threshold)
        low = min(0.0, *(values.min() for _, panel in panels for values in panel.values()))
        grid[-1, 0].set_xlim(low - 0.03, 1.03)
        grid[-1, 0].tick_params(axis="x", labelbottom=True)
        told = f"; attacks at {budget}" if budget else ""
        grid[-1, 0].set_xlabel(f"SSCD to the training image, highest over the seeds of a prompt{told}")
        grid[0, 0].annotate(
            f"copy: > {threshold}", (threshold, 1), xycoords=("data", "axes fraction"),
            xytext=(4, 4), textcoords="offset points", color=REPLICA, fontsize=8,
        )  # fmt: skip
        save(figure, path)


def _panels(images: pd.DataFrame) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Per kind its title and, for every setting, one value per prompt."""
    found = []
    for kind in sorted(images["kind"].unique(), key=lambda kind: rank(KINDS, kind)):
        members = images[images["kind"] == kind]
        for column, title in (("sscd_orig", ""), ("sscd_frame", ": the frame alone")):
            panel = _strips(members.dropna(subset=[column]), column)
            if panel:
                found.append((kind_title(kind) + title, panel))
    return found


def _strips(images: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    best = images.groupby(["setting", "target"])[column].max()
    settings = sorted(images["setting"].unique(), key=setting_rank)
    return {setting: best[setting].to_numpy() for setting in settings}


def _draw(axes: Axes, title: str, panel: dict[str, np.ndarray], threshold: float) -> None:
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axes.axvline(threshold, color=REPLICA, linewidth=1, zorder=0)
    for place, values in enumerate(panel.values()):
        axes.axhline(place, color=LINE, linewidth=0.6, zorder=0)
        copies = values > threshold
        heights = place + beeswarm(values)
        axes.scatter(values[copies], heights[copies], s=13, color=REPLICA, linewidth=0)
        axes.scatter(
            values[~copies], heights[~copies], s=11, facecolor="white", edgecolor=QUIET, linewidth=0.8
        )
        axes.plot([np.median(values)] * 2, [place - 0.38, place + 0.38], color=INK, linewidth=2)
        told = f"{copies.sum()} of {len(values)}"
        axes.annotate(told, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(range(len(panel)), [f"{setting_meaning(name)}   {name}" for name in panel])
    axes.set_ylim(len(panel) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def beeswarm(values: np.ndarray) -> np.ndarray:
    """Offsets within ± ``SPREAD`` that lay dots of nearly equal value side by side; shape (n,)."""
    offsets = np.zeros(len(values))
    bins = np.floor(values * BINS).astype(int)
    for step in np.unique(bins):
        members = np.flatnonzero(bins == step)
        # the middle first, then outwards by turns, and closer together where there are many
        turns = np.arange(len(members))
        side = np.where(turns % 2, 1, -1) * np.ceil(turns / 2)
        offsets[members] = side * min(0.13, SPREAD / max(1, np.abs(side).max()))
    return offsets
