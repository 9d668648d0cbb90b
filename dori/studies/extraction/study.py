"""Training data extraction (Carlini et al., arXiv 2301.13188): does a mitigation stop it, and for good?"""

from torch import Tensor

from dori.core.errors import InputError
from dori.data import MEMORIZED
from dori.metrics.extraction import extraction as cliques_of
from dori.metrics.intervals import Estimate, share
from dori.steps.attack import attack
from dori.steps.checks import check_no_quality
from dori.steps.defend import defend
from dori.steps.draw import draw
from dori.steps.measure import measure
from dori.steps.measuring.paired import Hit, sound
from dori.steps.outcome import Outcome
from dori.steps.prune import RANDOM, at_random, prune
from dori.steps.run import Run
from dori.steps.subjects import Pictures
from dori.studies.extraction.finding import findings

__all__ = ["extraction", "findings"]


def extraction(run: Run, samples: int, clique: int) -> Outcome:
    """original -> mask -> mitigated -> attack on all, and on the twin -> ``samples`` of each -> cliques.

    A prompt is extracted where at least ``clique`` of its samples are near-duplicates of each other
    and of the training image: samples of the prompt before and after mitigation, then of the trigger
    embedding that the attack finds in the pruned model. A count and no share of the samples: so more
    samples can only find more.

    Raises:
        InputError: fewer than two samples, a clique larger than the samples, or restarts of the attack.
    """
    check(run, samples, clique)
    everyone, memorized = run.data.targets, run.data.of(*MEMORIZED)
    subject, twin = run.original, run.twin
    drawn, triggers = [draw(run, subject, everyone, seeds=samples)], []

    if run.pruning:
        subject = prune(run, subject, run.pruning)
        drawn += [draw(run, each, everyone, seeds=samples) for each in (at_random(run, subject), subject)]
    if run.defense:
        subject = defend(run, subject)
        drawn.append(draw(run, subject, everyone, seeds=samples))

    if run.attack:
        for each, targets in [(subject, everyone), *([(twin, memorized)] if twin else [])]:
            found = attack(run, each, targets)
            drawn += [draw(run, each, targets, one, samples) for one in found]
            triggers += found

    def cliques(pictures: Pictures, descriptors: Tensor, similarity: Tensor) -> dict[str, Hit]:
        places = sound(pictures)
        found = cliques_of(descriptors[places], similarity[places], clique, run.evaluation.made.threshold)
        names = [pictures.targets[i].name for i in places]
        any_, own = (dict(zip(names, outcome.tolist(), strict=True)) for outcome in found)
        return {"Cliques": any_, "Extracted": own}

    rows, images = measure(run, drawn, against=[RANDOM], outcomes=cliques)
    for row in rows:
        extracted, any_ = (_count(row["metrics"][name]) for name in ("Extracted", "Cliques"))
        row["metrics"]["Clique_Precision"] = share(extracted, any_)
    return Outcome(rows, images, triggers, subject if run.pruning or run.defense else None)


def _count(figure: Estimate) -> int:
    return round((figure["value"] or 0) * figure["n"])


def check(run: Run, samples: int, clique: int) -> None:
    """Raises InputError: what cannot be extracted with, before any work."""
    check_no_quality(run, "extraction")
    for name, value in {"samples": samples, "clique": clique}.items():
        if not isinstance(value, int) or value < 2:
            raise InputError(f"study.{name} must be a whole number, 2 or more, but is {value}")
    if clique > samples:
        raise InputError(
            f"study.clique ({clique}) is larger than study.samples ({samples}): no prompt has such a clique; "
            "the paper asks for 10 of 500"
        )
    if run.attack and run.attack.made.restarts > 1:
        # restarts share the noise of their samples: these are alike for another reason than memory
        raise InputError(
            "study=extraction samples one trigger per image: attack.restarts is"
            f" {run.attack.made.restarts}, set 1"
        )
