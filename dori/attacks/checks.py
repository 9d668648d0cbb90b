"""An attack's settings, refused when it is built: not after the pruning."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dori.core.errors import InputError, check_positive

if TYPE_CHECKING:
    from dori.attacks.attack import Attack


def check_settings(attack: "Attack") -> None:
    """Raises InputError: the setting that cannot work, whatever the model and the data."""
    whole = ("pairs", "restarts", "check_every", "check_images")
    for key in (*whole, *(() if attack.batch == "auto" else ("batch",))):
        value = getattr(attack, key)
        if not isinstance(value, int):
            raise InputError(f"attack.{key} must be a whole number, but is {value!r}")
        check_positive(f"attack.{key}", value)
    attack.movable  # noqa: B018  refuses what it does not know
    if attack.stop not in ("steps", "replication"):
        raise InputError(f"attack.stop must be steps or replication, but is {attack.stop!r}")
    if attack.epsilons and not has_ball(attack.constraint):
        raise InputError("attack.epsilons needs a ball: choose attack/constraint=l2 or linf")
    for budget in attack.budgets:
        ball = {} if budget.epsilon is None else {"epsilon": budget.epsilon}
        attack.constraint(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), **ball)
    _try(attack.optimizer)


def has_ball(constraint: Callable[..., Tensor]) -> bool:
    """Whether a constraint has a size."""
    return "epsilon" in inspect.signature(constraint).parameters


def _try(optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]) -> None:
    """One step on nothing: wrong arguments, and optimizers that want more than a gradient, show now."""
    y = torch.zeros(1, 1, 1, requires_grad=True)
    y.grad = torch.zeros_like(y)
    try:
        optimizer([y]).step()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"attack.optimizer cannot be used: {error}") from error
