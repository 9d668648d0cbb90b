"""What a study cannot make use of is refused before any long work."""

from dori.core.errors import InputError
from dori.steps.run import Run


def check_no_defense(run: Run, study: str) -> None:
    """Raises InputError where a defense is configured that this study would not look at."""
    if run.defense:
        raise InputError(
            f"study={study} looks at pruning, not at defense={run.defense.name}: set defense=none, or"
            " study=mitigation"
        )


def check_no_quality(run: Run, study: str) -> None:
    """Raises InputError where benchmarks of quality are asked for, of which this study draws no pictures."""
    if run.evaluation.made.quality:
        names = ",".join(run.evaluation.made.quality)
        raise InputError(
            f"study={study} measures no quality, but evaluation.quality=[{names}] is set: leave it out, or"
            " set study=mitigation"
        )


def check_one_budget(run: Run) -> None:
    """Raises InputError where the attack has several budgets."""
    if run.attack and len(run.attack.made.budgets) > 1:
        raise InputError(
            f"this study takes one budget, but attack.epsilons and attack.snapshots give"
            f" {len(run.attack.made.budgets)}: set both to null, or to one value"
        )
