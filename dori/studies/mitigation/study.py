"""The main study: does a mitigation remove memorized images, or only hide them?"""

import pandas as pd

from dori.core.neutral import neutral
from dori.data import MEMORIZED
from dori.steps.attack import within_budgets
from dori.steps.defend import defend
from dori.steps.measuring.rows import Row, rows_of
from dori.steps.prune import RANDOM, at_random, prune
from dori.steps.run import Run


@neutral("attack_original")
def mitigation(
    run: Run, baseline: bool = True, attack_original: bool = False
) -> tuple[list[Row], pd.DataFrame]:
    """original -> mask, training -> mitigated -> attack on all, and on the twin -> recovered -> rows.

    Controls (seen and unseen images) are attacked with the same budget as the memorized ones, in the
    mitigated model and, with ``attack_original``, in the untouched one; random pruning of as many
    weights stands beside the mitigation (``baseline``). A defense trains from the weights before it,
    the original ones or the pruned ones. An attack with several budgets
    (``attack.epsilons``, ``attack.snapshots``) gives rows for each.
    """
    everyone, memorized = run.data.targets, run.data.of(*MEMORIZED)
    drawn = [run.draw(run.original, everyone)]
    quality = run.draw_ordinary(run.original)

    subject = run.original
    if run.pruning:
        subject = prune(run, run.pruning)
        run.mitigated = subject
        beside = [at_random(run, subject)] if baseline and subject.name != RANDOM else []
        for each in [*beside, subject]:
            drawn.append(run.draw(each, everyone))
            quality += run.draw_ordinary(each)

    if run.defense:
        subject = run.mitigated = defend(run, run.defense, subject)
        drawn.append(run.draw(subject, everyone))
        quality += run.draw_ordinary(subject)

    twin = run.twin
    if twin:
        drawn.append(run.draw(twin, memorized))
    if run.attack:
        attacked = {subject.name: (subject, everyone)}
        if attack_original:
            attacked |= {"original": (run.original, everyone)}
        if twin:
            attacked |= {"twin": (twin, memorized)}
        for each, targets in attacked.values():
            drawn += [run.draw(each, targets, found) for found in within_budgets(run, each, targets)]

    return rows_of(run, drawn, quality, [RANDOM])
