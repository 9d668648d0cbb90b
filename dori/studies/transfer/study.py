"""Transfer: triggers found on one model, generated from on others. Is the image in the model, or in
the trigger? Ours, after the paper's question whether different mitigations hide the same thing."""

import pandas as pd

from dori.core.errors import InputError
from dori.data import MEMORIZED
from dori.pruning import Method
from dori.steps.measuring.rows import Row, rows_of
from dori.steps.prune import prune
from dori.steps.run import Run

CONTROL = "unseen"


def transfer(run: Run, other: Method) -> tuple[list[Row], pd.DataFrame]:
    """original, two mitigated models, twin -> attack on each -> each trigger drawn by each -> rows.

    A setting ``wanda+dori>original`` is drawn by the original from triggers found on wanda's model;
    without ``>`` the two are one model. What the twin draws, it cannot recall. Targets are the
    memorized ones and the controls that no model ever saw.

    Raises:
        InputError: no attack, no pruning, the same method twice, or no memorized target.
    """
    run.check_no_defense("transfer")
    if run.attack is None or run.pruning is None:
        raise InputError("study=transfer attacks pruned models: use pruning=wanda attack=dori")
    if other.name == run.pruning.name:
        raise InputError(
            f"study=transfer compares two mitigations, but both are {other.name}: choose another with"
            " pruning@study.other=<option>"
        )
    run.check_one_budget()
    mitigated = run.mitigated = prune(run, run.pruning)
    beside = prune(run, other, "study.other")
    models = [model for model in (run.original, mitigated, beside, run.twin) if model]
    targets = run.data.of(*MEMORIZED, CONTROL)

    drawn = [run.draw(model, targets) for model in models]
    for source in models:
        found = run.attacked(source, targets)
        drawn += [run.draw(model, targets, found) for model in models]
    return rows_of(run, drawn, [])
