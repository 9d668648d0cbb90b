"""The attack of a job as a stage, once for each of its budgets: what is missing is solved at once."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dori.attacks.budgets import Budget
from dori.attacks.parts import merge_parts, write_parts
from dori.core.costs import Cost
from dori.core.parts import Part
from dori.core.predict import Predictor
from dori.core.ranks import once
from dori.data import Target
from dori.steps.subjects import Attacked, Subject

if TYPE_CHECKING:
    from dori.attacks import Attack
    from dori.core.stages import Info
    from dori.steps.run import Run


def attack(run: "Run", subject: Subject, targets: list[Target]) -> list[Attacked]:
    """The attack on a subject, for all targets at once, at each of its budgets.

    A budget has the same entry in the cache, whatever is solved beside it.
    """
    part = run.attack
    assert part is not None
    made, evaluation = part.made, run.evaluation.made
    watch = made.watches
    label = f"attack: {made.name} on {subject.name}"
    budgets = {named(label, part, budget): budget for budget in made.budgets}
    shared = _inputs(run, subject, targets, watch)

    def compute(folders: dict[str, Path]) -> "list[Info]":
        missing = {budgets[name]: folder for name, folder in folders.items()}
        replicated = evaluation.replicated if watch else None
        judges = [evaluation.networks["sscd"]] if watch else []
        for mask, places in subject.groups(targets):
            with subject.applied(mask) as diffusion:
                write_parts(
                    made, diffusion, run.data, targets, places, missing,
                    Predictor(run.trainer, label, run.cfg.save_every), replicated, judges,
                )  # fmt: skip
        return once(lambda: [merged(budget, folder) for budget, folder in missing.items()])

    def merged(budget: Budget, folder: Path) -> "Info":
        reached = merge_parts(folder).get("steps_to_replication")
        whole = made.evaluations(run.diffusion, len(targets), budget.steps)
        if reached is not None:
            whole, _, _ = made.spent(run.diffusion, reached, budget.steps)
        return {"gradient_evaluations": whole}

    results = run.stages.together(
        "attack", {name: {**shared, "attack": alone(part, budget)} for name, budget in budgets.items()},
        compute, by_all=True, costs=_costs(run, budgets, len(targets)),
    )  # fmt: skip
    return [
        Attacked(named(subject.name, part, budget, "-"), subject, targets, result, budget, made.restarts)
        for result, budget in zip(results, budgets.values(), strict=True)
    ]


def _costs(run: "Run", budgets: dict[str, Budget], targets: int) -> dict[str, Cost]:
    """Of each budget; what the longest solve in a ball has on its way costs nothing more."""
    assert run.attack is not None
    made, model = run.attack.made, run.diffusion
    longest = {budget.epsilon: max(b.steps for b in budgets.values() if b.epsilon == budget.epsilon)
               for budget in budgets.values()}  # fmt: skip
    return {
        name: Cost(made.forwards(model, targets, steps), made.evaluations(model, targets, steps))
        for name, (steps, epsilon) in ((n, (b.steps, b.epsilon)) for n, b in budgets.items())
        if steps == longest[epsilon]
    }


def _inputs(run: "Run", subject: Subject, targets: list[Target], watch: bool) -> "Info":
    """What all budgets depend on."""
    model = subject.diffusion
    assert run.attack is not None
    made = run.attack.made
    sources = made.start(run.data, made.attempts(targets), run.cfg.seed)
    inputs = {
        **subject.inputs, "targets": [target.identity for target in targets],
        "start": [source if isinstance(source, str) else None for source in sources],
    }  # fmt: skip
    looking = {
        "evaluation": run.evaluation.identity, "sampling_steps": model.sampling_steps,
        "guidance": model.guidance,
    }  # fmt: skip
    return inputs | (looking if watch else {})


def spent(part: "Part[Attack]", budget: Budget) -> dict[str, Any]:
    """``steps`` and ``epsilon``, which is the constraint's own where the budget has none."""
    epsilon = part.node["constraint"].get("epsilon") if budget.epsilon is None else budget.epsilon
    return {"steps": budget.steps, "epsilon": None if epsilon is None else float(epsilon)}


def named(name: str, part: "Part[Attack]", budget: Budget, between: str = ", ") -> str:
    """``wanda``, and of several budgets ``wanda, steps=10, epsilon=0.5``."""
    listed = {"steps": part.node.get("snapshots"), "epsilon": part.node.get("epsilons")}
    values = spent(part, budget)
    return between.join([name, *(f"{key}={values[key]}" for key, given in listed.items() if given)])


def alone(part: "Part[Attack]", budget: Budget) -> "Info":
    """What an attack with this budget alone *is*."""
    found, values = deepcopy(part.identity), spent(part, budget)
    for key in ("epsilons", "snapshots"):
        del found[key]
    if values["epsilon"] is not None:
        found["constraint"]["epsilon"] = values["epsilon"]
    return {**found, "steps": budget.steps}
