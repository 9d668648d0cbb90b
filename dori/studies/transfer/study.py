"""Transfer: triggers found on one model, generated from on others. Is the image in the model, or in
the trigger? Ours, after the paper's question whether different mitigations hide the same thing."""

from dori.core.errors import InputError
from dori.core.parts import Part
from dori.data import MEMORIZED
from dori.pruning import Method
from dori.steps.attack import attack
from dori.steps.checks import check_no_defense, check_no_quality, check_one_budget
from dori.steps.draw import draw
from dori.steps.measure import measure
from dori.steps.outcome import Outcome
from dori.steps.prune import prune
from dori.steps.run import Run
from dori.studies.transfer.finding import findings

__all__ = ["findings", "transfer"]
CONTROL = "unseen"


def transfer(run: Run, other: Method) -> Outcome:
    """original, two mitigated models, twin -> attack on each -> each trigger drawn by each -> rows.

    A setting ``wanda+dori>original`` is drawn by the original from triggers found on wanda's model;
    without ``>`` the two are one model. What the twin draws, it cannot recall. Targets are the
    memorized ones and the controls that no model ever saw.

    Raises:
        InputError: no attack, no pruning, the same method twice, or no memorized target.
    """
    check_no_defense(run, "transfer")
    check_no_quality(run, "transfer")
    if run.attack is None or run.pruning is None:
        raise InputError("study=transfer attacks pruned models: use pruning=wanda attack=dori")
    if other.name == run.pruning.made.name:
        raise InputError(
            f"study=transfer compares two mitigations, but both are {other.name}: choose another with"
            " pruning@study.other=<option>"
        )
    check_one_budget(run)
    mitigated = prune(run, run.original, run.pruning)
    beside = prune(run, run.original, Part.at(run.cfg, "study.other", other))
    models = [model for model in (run.original, mitigated, beside, run.twin) if model]
    targets = run.data.of(*MEMORIZED, CONTROL)

    drawn, triggers = [draw(run, model, targets) for model in models], []
    for source in models:
        (found,) = attack(run, source, targets)
        drawn += [draw(run, model, targets, found) for model in models]
        triggers.append(found)
    return Outcome(*measure(run, drawn), triggers, mitigated)
