"""What every row of the locality study says, and what its stages depend on."""

from typing import TYPE_CHECKING, Any

from dori.core.fingerprints import fingerprint
from dori.steps.measuring.row import of_budget

if TYPE_CHECKING:
    from dori.metrics.intervals import Estimate
    from dori.steps.measuring.row import Row
    from dori.steps.run import Run
    from dori.studies.locality.analysis.members import Members


def study_row(
    run: "Run",
    setting: str,
    kind: str,
    metrics: "dict[str, Estimate]",
    of: Any,
    evaluations: int = 0,
    **more: Any,
) -> "Row":
    """A row of the study's own; ``of``: what it was computed from."""
    assert run.attack is not None
    return {
        "setting": setting, "kind": kind, "model": run.diffusion.name, "pruning": "none",
        "defense": run.cfg.defense.name, "attack": run.attack.name,
        "params": run.settings | of_budget(run, run.attack.made.budgets[0]),
        "metrics": metrics, "failed": [], "fingerprint": fingerprint(of), "denoiser_evaluations": evaluations,
        "gradient_evaluations": 0, **more,
    }  # fmt: skip


def identities(members: "Members") -> list[list]:
    """What the rows of these members depend on."""
    return [member.target.identity for member in members]
