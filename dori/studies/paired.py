"""Differences of MR on the same prompts: they tell more than two intervals that overlap."""

from collections.abc import Sequence

from torch import Tensor

from dori.metrics.intervals import Estimate, paired_shares
from dori.studies.subjects import Pictures

Hits = dict[str, bool]  # of each target that did not fail, whether any seed replicates it


def hits(pictures: Pictures, similarity: Tensor, threshold: float) -> Hits:
    """``similarity``: SSCD_Orig (targets, seeds)."""
    broken = pictures.attacked.failed if pictures.attacked else {}
    found = (similarity > threshold).any(1).tolist()
    names = (target.name for target in pictures.targets)
    return {name: hit for name, hit in zip(names, found, strict=True) if name not in broken}


def differences(
    place: int, drawn: Sequence[Pictures], found: Sequence[Hits], kind: str
) -> dict[str, Estimate]:
    """``MR_difference`` and ``MR_over_twin`` of ``drawn[place]``, on targets of a kind.

    The first is to the same model before the attack, or, not attacked, to the original, which is
    ``drawn[0]``; the second of an attack to the same one on the twin.
    """
    others = {"MR_difference": _before(place, drawn), "MR_over_twin": _in_twin(place, drawn)}
    names = [target.name for target in drawn[place].targets if target.kind == kind]
    metrics = {}
    for metric, other in others.items():
        if other is None:
            continue
        both = [name for name in names if name in found[place] and name in found[other]]
        if both:
            sides = ([side[name] for name in both] for side in (found[place], found[other]))
            metrics[metric] = paired_shares(*sides)
    return metrics


def _before(place: int, drawn: Sequence[Pictures]) -> int | None:
    here = drawn[place]
    if here.attacked is None:
        return 0 if place else None
    same = (i for i, p in enumerate(drawn) if p.attacked is None and p.subject.name == here.subject.name)
    return next(same, None)


def _in_twin(place: int, drawn: Sequence[Pictures]) -> int | None:
    here = drawn[place].attacked
    if here is None or here.subject.name == "twin":
        return None
    for i, pictures in enumerate(drawn):
        there = pictures.attacked
        if there and there.subject.name == "twin" and there.budget == here.budget:
            return i
    return None
