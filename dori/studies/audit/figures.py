"""The two figures of the report: how far training pictures lie above held-out ones, and what copies cost."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.figures.style import DPI, INK, LINE, QUIET, REPLICA, styled

# colour, dashes and width; curves that lie on one another are all seen
WHO = {
    "held_out": ("#b4b9c1", "-", 5.0, "held out"),
    "base": ("#0072b2", "--", 1.8, "its base"),
    "model": (INK, "-", 1.4, "the model"),
}


def histogram(route: Mapping[str, Any], published: float) -> bytes:
    """A PNG: the similarities of a route's training pictures against those of its controls."""
    similar, controls, limit = list(route["similarity"].values()), route["controls"], route["threshold"]
    with styled():
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        low = min([0.0, *similar, *controls])
        bins: Any = np.linspace(low, 1, 41)
        named = "held out" if limit["source"] == "held_out" else "base"
        if controls:
            axes.hist(
                controls,
                bins,
                weights=_shares(controls),
                color=QUIET,
                alpha=0.55,
                label=f"{named} ({len(controls):,})",
            )
        axes.hist(
            similar,
            bins,
            weights=_shares(similar),
            histtype="step",
            color=REPLICA,
            linewidth=1.6,
            label=f"audited ({len(similar):,})",
        )
        axes.axvline(limit["value"], color=INK, linewidth=1, label=f"threshold ({limit['value']:.2f})")
        if limit["source"] != "published":
            axes.axvline(published, color=LINE, linestyle="--", label=f"published ({published:g})")
        axes.set(xlabel="similarity of the nearest output", ylabel="share of pictures", xlim=(low, 1))
        figure.legend(loc="outside upper left", ncols=4)
        return _png(figure)


def work_curve(work: Mapping[str, Any]) -> bytes:
    """A PNG: the share without a copy so far against gradient evaluations, of model, base and held-out."""
    with styled():
        figure = Figure(figsize=(7.6, 2.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for who, (colour, dashes, width, label) in WHO.items():
            if each := work.get(who):
                spent, share = np.array(each["survival"])[:, :2].T
                axes.step(
                    spent, share, dashes, where="post", color=colour, linewidth=width,
                    label=f"{label} (n = {each['n']})",
                )  # fmt: skip
        axes.set(
            xlabel="gradient evaluations", ylabel="not copied so far", ylim=(-0.03, 1.03), xlim=(0, None)
        )
        axes.legend(loc="lower left")
        return _png(figure)


def _shares(values: Sequence[float]) -> Any:
    return np.full(len(values), 1 / len(values))


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
