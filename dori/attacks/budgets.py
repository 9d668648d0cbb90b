"""What an attack may spend, and what one solve holds for each budget."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dori.attacks.climb import Solution
from dori.core.errors import InputError, check_positive


@dataclass(frozen=True)
class Budget:
    """Steps, and the ball's size; None where the constraint's own holds."""

    steps: int
    epsilon: float | None = None


def budgets(steps: int, snapshots: list[int] | None, epsilons: list[float] | None) -> list[Budget]:
    """Every epsilon x snapshot; without lists, the one of the settings.

    Raises:
        InputError: an empty list, or a snapshot that no solve of ``steps`` passes.
    """
    check_positive("attack.steps", steps)
    for key, values in {"snapshots": snapshots, "epsilons": epsilons}.items():
        if values is not None and not values:
            raise InputError(f"attack.{key} is an empty list; give values, or null")
    for step in snapshots or []:
        if not (isinstance(step, int) and 0 <= step <= steps):
            raise InputError(f"attack.snapshots must be steps from 0 to attack.steps ({steps}), not {step}")
    sizes: list[float | None] = [float(size) for size in epsilons] if epsilons else [None]
    return [
        Budget(step, size) for size in dict.fromkeys(sizes) for step in dict.fromkeys(snapshots or [steps])
    ]


def sliced(
    solution: Solution, triggers: dict[str, Tensor], rows: slice, budget: Budget, reached: Tensor | None
) -> dict[str, Tensor]:
    """What a solve of ``budget`` alone would have given for ``rows``: its first steps.

    Returns:
        the ``triggers`` (n, ...): start and embeddings (n, tokens, width), and what else the model is
        given; losses (n, steps), failed (n,); where ``reached``, the steps at which each had
        replicated or -1, is asked for, steps_to_replication (n,).
    """
    failed = solution.failed[rows]
    parts = {
        **triggers, "losses": solution.losses[rows, : budget.steps],
        "failed": failed.where(failed < budget.steps, -1),
    }  # fmt: skip
    if reached is not None:
        whole = (failed < 0) | (reached[rows] <= failed)
        parts["steps_to_replication"] = reached[rows].where(whole & (reached[rows] <= budget.steps), -1)
    return {key: value.cpu().clone(memory_format=torch.contiguous_format) for key, value in parts.items()}
