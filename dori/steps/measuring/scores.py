"""A pruning method's own score of each prompt, where it has one (NeMo), beside what it achieved."""

from dori.data import MEMORIZED
from dori.metrics.auc import auc
from dori.metrics.intervals import Estimate, point, share
from dori.metrics.quantiles import median_estimate
from dori.steps.subjects import Pictures


def scores(pictures: Pictures, kind: str) -> dict[str, Estimate]:
    """Metrics of the prompts of a kind; none for a method without scores, and under attack.

    ``Score``: median over prompts. ``Score_threshold``: above it a prompt counts as memorized, its n
    the ordinary captions that it was computed from. ``Unpruned``: the share that is not above it and
    gets no neurons. ``Score_AUC``: how well the score tells memorized prompts from ordinary captions.
    """
    mask = pictures.subject.mask
    facts = mask.info.get("facts", {}) if mask and not pictures.attacked else {}
    names = [target.name for target in pictures.targets if target.kind == kind]
    known = [name for name in names if name in facts.get("scores", {})]
    if not known:
        return {}
    found = [facts["scores"][name] for name in known]
    threshold, ordinary = facts["threshold"], facts["ordinary_scores"]
    metrics = {
        "Score": median_estimate(found), "Score_threshold": point(threshold, len(ordinary)),
        "Unpruned": share(sum(name in facts["unpruned"] for name in known), len(known)),
    }  # fmt: skip
    if kind in MEMORIZED and ordinary:
        metrics["Score_AUC"] = auc(found, ordinary)
    return metrics
