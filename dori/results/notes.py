"""What limits or colours a verdict: the baseline, templates, lost quality, and too few targets."""

from collections.abc import Iterator

from dori.results.comparison import Comparison
from dori.results.estimate import (
    Estimate,
    number,
    share_above,
    significant,
    with_deviation,
    with_interval,
)  # fmt: skip

FID_COLLAPSE = 1.5  # times the original's: the bound of the project's own acceptance test
FID_IMAGES = 1000  # FID of fewer pictures is too biased for a claim
WIDE = 0.4  # an interval of MR wider than this supports no claim about size


def notes(c: Comparison) -> Iterator[str]:
    """One sentence per thing that a reader of the verdict should know, each with its figures."""
    for note in (
        _baseline(c),
        _score(c),
        _floor(c),
        _templates(c),
        _quality(c),
        _twin(c),
        _few(c),
        _failed(c),
    ):
        if note:
            yield note


def _baseline(c: Comparison) -> str | None:
    after, baseline = c.figure(c.mitigation, c.rate), c.figure(c.baseline or "", c.rate)
    if after is None or baseline is None:
        return None
    told = f"Pruning as many weights at random leaves {with_interval(baseline)} (n = {baseline.n})"
    if share_above(baseline, after):
        return f"{told}: it matters which weights are pruned."
    return f"{told}: choosing the weights makes no difference beyond the intervals."


def _score(c: Comparison) -> str | None:
    unpruned, area = (c.figure(c.mitigation, name) for name in ("Unpruned", "Score_AUC"))
    score, threshold = (c.figure(c.mitigation, name) for name in ("Score", "Score_threshold"))
    if unpruned is None or score is None or threshold is None:
        return None
    told = (
        f"{c.mitigation}'s own score is {with_deviation(score)} on these prompts, and "
        f"{round(unpruned.value * (unpruned.n or 0))} of {unpruned.n} are not above its threshold of "
        f"{number(threshold.value)}: nothing is pruned for them"
    )
    if area is None:
        return f"{told}."
    return f"{told}. It tells them from ordinary captions with an AUC of {with_interval(area)}."


def _floor(c: Comparison) -> str | None:
    median, high = (c.figure("original", name, "unseen") for name in ("SSCD_Orig", "SSCD_Orig_p95"))
    if median is None or high is None:
        return None
    return (
        f"Captions alone give {number(median.value)} in the median and {number(high.value)} at the 95th"
        f" percentile (SSCD_Orig of never-seen pictures on the original model, n = {median.n})."
    )


def _templates(c: Comparison) -> str | None:
    if c.kind == "template":
        return "There are no verbatim targets: the rates are of template families."
    settings = ("original", c.mitigation, c.attacked)
    figures = [c.figure(setting, "SSCD_Frame", "template") for setting in settings]
    known = [figure for figure in figures if figure]
    if len(known) < 2:
        return None
    path = " → ".join(with_deviation(figure) for figure in known)
    return f"Frames of the template families (SSCD_Frame, n = {known[0].n}): {path}."


def _quality(c: Comparison) -> str | None:
    before, after = (c.figure(s, "FID", "ordinary") for s in ("original", c.mitigation))
    if before is None or after is None or c.mitigation == "original":
        return None
    times = after.value / before.value
    small = before.n is not None and before.n < FID_IMAGES
    told = f"FID goes from {significant(before.value)} to {significant(after.value)} (n = {after.n:,}"
    told += ", too few for a claim)" if small else ")"
    if times <= FID_COLLAPSE:
        return f"{told}{_kid(c)}."
    return f"{told}{_kid(c)}, {number(times, 1)} times as much: quality suffers, not only memory."


def _kid(c: Comparison) -> str:
    difference = c.figure(c.mitigation, "KID_difference", "ordinary")
    return f", KID changes by {with_interval(difference, 3)}" if difference else ""


def _twin(c: Comparison) -> str | None:
    twin, control = c.figure("twin", c.rate), c.figure("original", c.rate, "unseen")
    if twin is None or not share_above(twin, control or Estimate(WIDE)):
        return None
    return f"The twin replicates {with_interval(twin)} without any attack: it is not clean."


def _few(c: Comparison) -> str | None:
    settings = ("original", c.mitigation, c.attacked, c.attacked_twin)
    found = [figure for setting in settings if (figure := c.figure(setting, c.rate))]
    widest = max(found, key=lambda figure: figure.width, default=None)
    if widest is None or widest.width <= WIDE:
        return None
    return (
        f"With n = {widest.n} the widest interval spans {number(widest.width)}: this shows a "
        "direction, not a size; use more targets for a figure to cite."
    )


def _failed(c: Comparison) -> str | None:
    row = c.row(c.attacked or c.mitigation, c.kind)
    failed = row.get("failed") if row else None
    return f"{len(failed)} targets failed and are not counted." if failed else None
