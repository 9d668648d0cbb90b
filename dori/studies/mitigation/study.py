"""The main study: does a mitigation remove memorized images, or only hide them?"""

from dori.core.neutral import neutral
from dori.data import MEMORIZED
from dori.steps.attack import attack
from dori.steps.defend import defend
from dori.steps.draw import draw, draw_ordinary
from dori.steps.measure import measure
from dori.steps.outcome import Outcome
from dori.steps.prune import RANDOM, at_random, prune
from dori.steps.run import Run
from dori.studies.mitigation.finding import findings

__all__ = ["findings", "mitigation"]  # what it says beside the verdict that every study shares


@neutral("attack_original")
def mitigation(run: Run, baseline: bool = True, attack_original: bool = False) -> Outcome:
    """original -> mask, training -> mitigated -> attack on all, and on the twin -> recovered -> rows.

    Controls (seen and unseen images) are attacked with the same budget as the memorized ones, in the
    mitigated model and, with ``attack_original``, in the untouched one; random pruning of as many
    weights stands beside the mitigation (``baseline``). A defense trains from the weights before it,
    the original ones or the pruned ones. An attack with several budgets
    (``attack.epsilons``, ``attack.snapshots``) gives rows for each.
    """
    everyone, memorized = run.data.targets, run.data.of(*MEMORIZED)
    subject, twin = run.original, run.twin
    drawn, quality, triggers = [draw(run, subject, everyone)], draw_ordinary(run, subject), []

    if run.pruning:
        subject = prune(run, subject, run.pruning)
        beside = [at_random(run, subject)] if baseline and subject.name != RANDOM else []
        for each in [*beside, subject]:
            drawn.append(draw(run, each, everyone))
            quality += draw_ordinary(run, each)

    if run.defense:
        subject = defend(run, subject)
        drawn.append(draw(run, subject, everyone))
        quality += draw_ordinary(run, subject)

    if twin:
        drawn.append(draw(run, twin, memorized))
    if run.attack:
        attacked = {subject.name: (subject, everyone)}
        if attack_original:
            attacked |= {"original": (run.original, everyone)}
        if twin:
            attacked |= {"twin": (twin, memorized)}
        for each, targets in attacked.values():
            found = attack(run, each, targets)
            drawn += [draw(run, each, targets, one) for one in found]
            triggers += found

    rows, images = measure(run, drawn, quality, [RANDOM])
    return Outcome(rows, images, triggers, subject if run.pruning or run.defense else None)
