"""What limits or colours a verdict: the baseline, templates, lost quality, and too few targets."""

from collections.abc import Iterator

from dori.results.reading.answers import ABOVE, WITHIN, answer, apart, turned
from dori.results.reading.comparison import Comparison
from dori.results.reading.estimate import Estimate, number, significant, with_deviation, with_interval

FID_IMAGES = 1000  # FID of fewer pictures is too biased for a claim


def notes(c: Comparison) -> Iterator[str]:
    """One sentence per thing that a reader of the verdict should know, each with its figures."""
    for note in (
        _partly(c), _restarts(c), _no_twin(c), _baseline(c), _score(c), _floor(c), _templates(c), _quality(c),
        _twin(c), _few(c), _failed(c),
    ):  # fmt: skip
        if note:
            yield note


def _control(c: Comparison) -> Estimate:
    """What the original model gives on pictures that nobody memorized: the rate to beat."""
    found = c.figure("original", c.rate, "unseen") or c.figure("original", c.rate, "seen")
    return found or Estimate(c.margins.control)


def _partly(c: Comparison) -> str | None:
    before, after = (c.figure(setting, c.rate) for setting in ("original", c.mitigation))
    if c.mitigation == "original" or before is None or after is None:
        return None
    fall = turned(c.difference(c.mitigation, "difference")) or apart(before, after)
    still = apart(after, _control(c))
    if not answer(fall, c.margins.rate) == answer(still, c.margins.rate) == ABOVE:
        return None
    return f"After {c.mitigation} the rate is still above that of the controls, by {with_interval(still)}."


def _restarts(c: Comparison) -> str | None:
    few = c.figure(c.attacked, "MR_as_many") if c.attack else None
    if few is None:
        return None
    return (
        f"{c.attack} draws images of {c.params.get('restarts')} restarts; its rise is taken at as many images"
        f" as without it: {with_interval(few)}."
    )


def _no_twin(c: Comparison) -> str | None:
    if not c.attack or c.figure(c.attacked, c.rate) is None or c.figure(c.attacked_twin, c.rate):
        return None
    return "There is no twin to rule injection out fully."


def _baseline(c: Comparison) -> str | None:
    after, baseline = c.figure(c.mitigation, c.rate), c.figure(c.baseline or "", c.rate)
    if after is None or baseline is None:
        return None
    less = turned(c.difference(c.mitigation, f"over_{c.baseline}")) or apart(baseline, after)
    told = f"Pruning as many weights at random leaves {with_interval(baseline)} (n = {baseline.n})"
    found = answer(less, c.margins.rate)
    if found == ABOVE:
        return f"{told}, {with_interval(less)} more: it matters which weights are pruned."
    if found == WITHIN:
        return f"{told}: choosing the weights makes a difference of less than {c.margins.rate:g}."
    return f"{told}: whether it matters which weights are pruned is undecided."


def _score(c: Comparison) -> str | None:
    unpruned, area = (c.figure(c.mitigation, name) for name in ("Unpruned", "Score_AUC"))
    score, threshold = (c.figure(c.mitigation, name) for name in ("Score", "Score_threshold"))
    if unpruned is None or score is None or threshold is None:
        return None
    told = (
        f"{c.mitigation}'s own score is {with_deviation(score)} on these prompts, and "
        f"{unpruned.count} of {unpruned.n} are not above its threshold of "
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
        f"Captions alone give {number(median.value)} in the median and {with_interval(high)} at the 95th"
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
    floor = c.figure("original", "FID_floor", "ordinary")
    told = f"FID goes from {significant(before.value)} to {significant(after.value)}"
    told += f" (floor {significant(floor.value)}, " if floor else " ("
    few = (after.n or 0) < FID_IMAGES
    told += f"n = {after.n:,}, too few for a claim)" if few else f"n = {after.n:,})"
    if change := c.figure(c.mitigation, "KID_difference", "ordinary"):
        told += f", KID × 1,000 changes by {with_interval(change.scaled(1000))}"
    ratio, limit = c.figure(c.mitigation, "FID_ratio", "ordinary"), c.margins.fid
    if ratio is None or few or ratio.low is None or ratio.high is None:
        return f"{told}."
    told += f". FID is {with_interval(ratio)} times the original's"
    if ratio.low > limit:
        return f"{told}: quality suffers, not only memory."
    return (
        f"{told}, less than {limit:g}."
        if ratio.high < limit
        else f"{told}: whether more than {limit:g} is undecided."
    )


def _twin(c: Comparison) -> str | None:
    twin = c.figure("twin", c.rate)
    if twin is None or answer(apart(twin, _control(c)), c.margins.rate) != ABOVE:
        return None
    return f"The twin replicates {with_interval(twin)} without any attack: it is not clean."


def _few(c: Comparison) -> str | None:
    settings = ("original", c.mitigation, c.attacked, c.attacked_twin)
    found = [figure for setting in settings if (figure := c.figure(setting, c.rate))]
    widest = max(found, key=lambda figure: figure.width, default=None)
    if widest is None or widest.width <= c.margins.width:
        return None
    return (
        f"With n = {widest.n} the widest interval spans {number(widest.width)}: this shows a "
        "direction, not a size; use more targets for a figure to cite."
    )


def _failed(c: Comparison) -> str | None:
    row = c.row(c.attacked or c.mitigation, c.kind)
    failed = row.get("failed") if row else None
    return f"{len(failed)} targets failed and are not counted." if failed else None
