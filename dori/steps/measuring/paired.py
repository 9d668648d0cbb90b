"""Differences of rates on the same prompts: they tell more than two intervals that overlap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from dori.attacks.budgets import Budget
from dori.metrics.differences import paired_shares
from dori.metrics.intervals import Estimate, share
from dori.steps.subjects import Pictures

Hit = dict[str, bool]  # of each target that has a result


@dataclass(frozen=True)
class Hits:
    """Which targets count as hits: by all their images, and by as many as are drawn without an attack.

    A rate is a maximum over images: an attack with restarts draws more, and would rise by that alone.
    """

    all: Hit
    as_many: Hit


Found = Mapping[str, Sequence[Hits]]  # by the name of the rate, in the order of what was drawn


def sound(pictures: Pictures) -> list[int]:
    """The places of the targets that have a result."""
    return [i for i, target in enumerate(pictures.targets) if target.name not in pictures.without_result]


def hits(pictures: Pictures, similarity: Tensor, threshold: float) -> Hits:
    """Whether any image replicates the target; ``similarity``: SSCD_Orig (targets, seeds)."""
    copies = similarity > threshold
    few = copies[:, spread(pictures.seeds // pictures.restarts, pictures.restarts)]
    return Hits(named(pictures, copies.any(1)), named(pictures, few.any(1)))


def spread(images: int, restarts: int) -> list[int]:
    """As many images as one restart has, spread over all of them: the j-th, on its own noise, of another.

    >>> spread(images=4, restarts=2)  # the restarts' images are 0 to 3 and 4 to 7
    [0, 5, 2, 7]
    """
    return [(j % restarts) * images + j for j in range(images)]


def named(pictures: Pictures, outcome: Tensor) -> Hit:
    """An outcome (targets,) by name, of the targets that have a result."""
    return {pictures.targets[i].name: bool(outcome[i]) for i in sound(pictures)}


def own_rates(place: int, drawn: Sequence[Pictures], found: Found, kind: str) -> dict[str, Estimate]:
    """The share of targets of a kind that are hits, of a study's own outcomes.

    ``MR_as_many``: with restarts, MR by as many images as are drawn without an attack, all restarts in turn.
    """
    names = [target.name for target in drawn[place].targets if target.kind == kind]
    told = {rate: of[place].all for rate, of in found.items() if rate != "MR"}
    if drawn[place].restarts > 1:
        told["MR_as_many"] = found["MR"][place].as_many
    metrics = {}
    for rate, hit in told.items():
        own = [hit[name] for name in names if name in hit]
        metrics[rate] = share(sum(own), len(own))
    return metrics


def differences(
    place: int, drawn: Sequence[Pictures], found: Found, kind: str, against: Sequence[str] = ()
) -> dict[str, Estimate]:
    """How much higher each rate of ``drawn[place]`` is than elsewhere, on the same targets of a kind.

    ``MR_difference``: than that of the same model before the attack, or, not attacked, of the original, which
    is ``drawn[0]``, at as many images; ``MR_over_twin``: than under the same attack on the twin;
    ``MR_over_carried``: than what the twin draws of the very same triggers;
    ``MR_over_random``: not attacked, than that of the setting ``random``, one of ``against``.
    """
    names = [target.name for target in drawn[place].targets if target.kind == kind]
    metrics = {}
    for rate, of in found.items():
        for metric, mine, theirs in _compared(rate, place, drawn, of, against):
            both = [name for name in names if name in mine and name in theirs]
            if both:
                one, other = ([side[name] for name in both] for side in (mine, theirs))
                metrics[metric] = paired_shares(one, other)
    return metrics


def _compared(
    rate: str, place: int, drawn: Sequence[Pictures], found: Sequence[Hits], against: Sequence[str]
) -> Iterator[tuple[str, Hit, Hit]]:
    here = drawn[place]
    if (before := _before(place, drawn)) is not None:
        yield f"{rate}_difference", found[place].as_many, found[before].all
    if (twin := _in_twin(place, drawn)) is not None:
        yield f"{rate}_over_twin", found[place].all, found[twin].all
    if (carried := _carried_to_twin(place, drawn)) is not None:
        yield f"{rate}_over_carried", found[place].all, found[carried].all
    if place and here.attacked is None and here.subject.name not in ("twin", *against):
        for other, pictures in enumerate(drawn):
            if pictures.attacked is None and pictures.subject.name in against:
                yield f"{rate}_over_{pictures.subject.name}", found[place].all, found[other].all


def _before(place: int, drawn: Sequence[Pictures]) -> int | None:
    here = drawn[place]
    if here.attacked is None:
        return 0 if place else None
    same = (i for i, p in enumerate(drawn) if p.attacked is None and p.subject.name == here.subject.name)
    return next(same, None)


def _in_twin(place: int, drawn: Sequence[Pictures]) -> int | None:
    """The same attack on the twin; of triggers that were carried over, the same ones drawn by the twin."""
    here = drawn[place]
    if here.attacked is None or here.subject.name == "twin":
        return None
    own = here.attacked.subject.name == here.subject.name
    return _by_twin(drawn, "twin" if own else here.attacked.subject.name, here.attacked.budget)


def _carried_to_twin(place: int, drawn: Sequence[Pictures]) -> int | None:
    """Of triggers that were not carried over, the same ones drawn by the twin."""
    here = drawn[place]
    if (
        here.attacked is None
        or here.subject.name == "twin"
        or here.attacked.subject.name != here.subject.name
    ):
        return None
    return _by_twin(drawn, here.subject.name, here.attacked.budget)


def _by_twin(drawn: Sequence[Pictures], source: str, budget: Budget) -> int | None:
    """What the twin draws of the triggers that were found on ``source`` at a budget."""
    for i, pictures in enumerate(drawn):
        there = pictures.attacked
        if (
            pictures.subject.name == "twin"
            and there
            and (there.subject.name, there.budget) == (source, budget)
        ):
            return i
    return None
