"""The attack of a job as a stage, once for each of its budgets: what is missing is solved at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dori.attacks.budgets import Budget
from dori.attacks.parts import merge_parts, write_parts
from dori.core.fingerprints import identity
from dori.core.predict import Predictor
from dori.core.ranks import once
from dori.data import Target
from dori.steps.subjects import Attacked, Subject

if TYPE_CHECKING:
    from dori.core.stages import Info
    from dori.steps.run import Run


def within_budgets(run: "Run", subject: Subject, targets: list[Target]) -> list[Attacked]:
    """The attack on a subject, for all targets at once, at each of its budgets.

    A budget has the same entry in the cache, whatever is solved beside it.
    """
    attack, cfg = run.attack, run.cfg.attack
    assert attack is not None
    watch = attack.watches
    label = f"attack: {attack.name} on {subject.name}"
    budgets = {named(label, cfg, budget): budget for budget in attack.budgets}
    shared = _inputs(run, subject, targets, watch)

    def compute(folders: dict[str, Path]) -> "list[Info]":
        missing = {budgets[name]: folder for name, folder in folders.items()}
        replicated = run.evaluation.replicated if watch else None
        judges = [run.evaluation.networks["sscd"]] if watch else []
        for mask, places in subject.groups(targets):
            with subject.applied(mask) as diffusion:
                write_parts(
                    attack, diffusion, run.data, targets, places, missing,
                    Predictor(run.trainer, label, run.cfg.save_every), replicated, judges,
                )  # fmt: skip
        return once(lambda: [merged(budget, folder) for budget, folder in missing.items()])

    def merged(budget: Budget, folder: Path) -> "Info":
        reached = merge_parts(folder).get("steps_to_replication")
        whole = attack.evaluations(len(targets), budget.steps)
        return {"gradient_evaluations": whole if reached is None else attack.spent(reached, budget.steps)[0]}

    results = run.stages.together(
        "attack", {name: {**shared, "attack": alone(cfg, budget)} for name, budget in budgets.items()},
        compute, by_all=True,
    )  # fmt: skip
    found = [
        Attacked(subject, targets, result, budget, attack.restarts)
        for result, budget in zip(results, budgets.values(), strict=True)
    ]
    run.attacks |= {named(subject.name, cfg, each.budget, "-"): each for each in found}
    return found


def _inputs(run: "Run", subject: Subject, targets: list[Target], watch: bool) -> "Info":
    """What all budgets depend on."""
    attack, model = run.attack, subject.diffusion
    assert attack is not None
    sources = attack.start(run.data, attack.attempts(targets), run.cfg.seed)
    inputs = {
        **subject.inputs, "targets": [target.identity for target in targets],
        "start": [source if isinstance(source, str) else None for source in sources],
    }  # fmt: skip
    looking = {
        "evaluation": run.evaluation_identity, "sampling_steps": model.sampling_steps,
        "guidance": model.guidance,
    }  # fmt: skip
    return inputs | (looking if watch else {})


def spent(cfg: DictConfig, budget: Budget) -> dict[str, Any]:
    """``steps`` and ``epsilon``, which is the constraint's own where the budget has none."""
    epsilon = cfg["constraint"].get("epsilon") if budget.epsilon is None else budget.epsilon
    return {"steps": budget.steps, "epsilon": None if epsilon is None else float(epsilon)}


def named(name: str, cfg: DictConfig, budget: Budget, between: str = ", ") -> str:
    """``wanda``, and of several budgets ``wanda, steps=10, epsilon=0.5``."""
    listed = {"steps": cfg.get("snapshots"), "epsilon": cfg.get("epsilons")}
    values = spent(cfg, budget)
    return between.join([name, *(f"{key}={values[key]}" for key, given in listed.items() if given)])


def alone(cfg: DictConfig, budget: Budget) -> "Info":
    """What an attack with this budget alone *is*."""
    attack, values = identity(cfg), spent(cfg, budget)
    for key in ("epsilons", "snapshots"):
        del attack[key]
    if values["epsilon"] is not None:
        attack["constraint"]["epsilon"] = values["epsilon"]
    return {**attack, "steps": budget.steps}
