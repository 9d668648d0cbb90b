"""Training data extraction (Carlini et al., arXiv 2301.13188): does a mitigation stop it, and for good?"""

import pandas as pd
from torch import Tensor

from dori.core.errors import InputError
from dori.data import MEMORIZED
from dori.metrics.extraction import extraction as cliques_of
from dori.metrics.intervals import Estimate, share
from dori.steps.attack import within_budgets
from dori.steps.defend import defend
from dori.steps.measuring.paired import Hit, sound
from dori.steps.measuring.rows import Row, rows_of
from dori.steps.prune import RANDOM, at_random, prune
from dori.steps.run import Run
from dori.steps.subjects import Pictures


def extraction(run: Run, samples: int, clique: int) -> tuple[list[Row], pd.DataFrame]:
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
    drawn = [run.draw(run.original, everyone, seeds=samples)]

    subject = run.original
    if run.pruning:
        subject = run.mitigated = prune(run, run.pruning)
        drawn += [run.draw(each, everyone, seeds=samples) for each in (at_random(run, subject), subject)]
    if run.defense:
        subject = run.mitigated = defend(run, run.defense, subject)
        drawn.append(run.draw(subject, everyone, seeds=samples))

    twin = run.twin
    if run.attack:
        drawn += [
            run.draw(subject, everyone, each, samples) for each in within_budgets(run, subject, everyone)
        ]
        if twin:
            drawn += [
                run.draw(twin, memorized, each, samples) for each in within_budgets(run, twin, memorized)
            ]

    def cliques(pictures: Pictures, descriptors: Tensor, similarity: Tensor) -> dict[str, Hit]:
        places = sound(pictures)
        found = cliques_of(descriptors[places], similarity[places], clique, run.evaluation.threshold)
        names = [pictures.targets[i].name for i in places]
        any_, own = (dict(zip(names, outcome.tolist(), strict=True)) for outcome in found)
        return {"Cliques": any_, "Extracted": own}

    rows, images = rows_of(run, drawn, [], [RANDOM], cliques)
    for row in rows:
        extracted, found = (_count(row["metrics"][name]) for name in ("Extracted", "Cliques"))
        row["metrics"]["Clique_Precision"] = share(extracted, found)
    return rows, images


def _count(figure: Estimate) -> int:
    return round((figure["value"] or 0) * figure["n"])


def check(run: Run, samples: int, clique: int) -> None:
    for name, value in {"samples": samples, "clique": clique}.items():
        if not isinstance(value, int) or value < 2:
            raise InputError(f"study.{name} must be a whole number, 2 or more, but is {value}")
    if clique > samples:
        raise InputError(
            f"study.clique ({clique}) is larger than study.samples ({samples}): no prompt has such a clique; "
            "the paper asks for 10 of 500"
        )
    if run.attack and run.attack.restarts > 1:
        # restarts share the noise of their samples: these are alike for another reason than memory
        raise InputError(
            f"study=extraction samples one trigger per image: attack.restarts is {run.attack.restarts}, set 1"
        )
