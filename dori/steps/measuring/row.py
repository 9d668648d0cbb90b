"""What every row says of a setting, whatever was measured on it."""

from typing import Any

from dori.attacks.budgets import Budget
from dori.core.settings import of_attack
from dori.steps.run import Run
from dori.steps.subjects import Pictures

Row = dict[str, Any]


def base_row(
    run: Run, pictures: Pictures, kind: str, metrics: dict, failed: list[str], denoiser: int, gradient: int
) -> Row:
    """A row of a setting and kind: its metrics, and what was done, counted and left out."""
    subject, targets = pictures.subject, pictures.targets
    models = {
        each.name: each for each in (subject, *([pictures.attacked.subject] if pictures.attacked else []))
    }
    texts = [t for i, t in enumerate(pictures.texts) if not targets or targets[i].kind == kind]
    before = sum(each.evaluations for each in models.values())
    return {
        "setting": pictures.setting, "kind": kind, "model": subject.diffusion.name,
        "pruning": subject.pruning, "defense": subject.defense,
        "attack": run.attack.name if run.attack and pictures.attacked else "none",
        "params": params_of(run, pictures), "metrics": metrics, "failed": failed,
        "cut_prompts": run.diffusion.cut(texts),
        "fingerprint": pictures.result.fingerprint,
        "denoiser_evaluations": denoiser + before, "gradient_evaluations": gradient,
    }  # fmt: skip


def params_of(run: Run, pictures: Pictures) -> dict[str, Any]:
    """Every setting of every part that took part in a row: the axes along which rows are compared.

    What is true of all rows, what was done to the model that draws, and how it, or the model that the
    trigger comes from, was attacked. A part that had no part is not told, so that jobs which differ in it
    share the row. Names: see ``dori.core.settings``.
    """
    attacked = pictures.attacked
    source = attacked.subject.settings if attacked else {}
    return {
        **run.settings, **source, **pictures.subject.settings,
        **(of_budget(run, attacked.budget) if attacked else {}),
    }  # fmt: skip


def of_budget(run: Run, budget: Budget) -> dict[str, Any]:
    """The attack's settings: of its budgets the one that was spent."""
    assert run.attack is not None
    return of_attack(run.attack.node, budget.steps, budget.epsilon)
