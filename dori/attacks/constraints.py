"""How far an attack may go: balls around the start, per sequence, relative to its size.

``epsilon`` means the same in every model: the l2 ball has radius epsilon * ||y0||_2, the linf ball
epsilon times the root mean square of the start's coordinates, but for those that are zero: they fill up
what no network reads. It is one number, or one for each conditioning (n, 1, 1).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dori.core.errors import InputError
from dori.diffusion.conditioning import CHOICES, Rows

TOKENS = ("all", "padding", "content")


def unconstrained(y: Tensor, start: Tensor) -> Tensor:
    """No ball: the paper's budget is the number of steps."""
    return y


def _check(epsilon: float | Tensor) -> None:
    # those of a tensor were numbers once, and refused then: a look at each step would stall a GPU
    if not isinstance(epsilon, Tensor) and not (math.isfinite(epsilon) and epsilon >= 0):
        raise InputError(f"attack.constraint.epsilon must be finite and not negative, but is {epsilon}")


def l2_ball(y: Tensor, start: Tensor, epsilon: float | Tensor) -> Tensor:
    """The nearest point to ``y`` with ||y - y0||_2 <= epsilon * ||y0||_2."""
    _check(epsilon)
    radius = epsilon * torch.linalg.vector_norm(start, dim=(1, 2), keepdim=True)
    moved = y - start
    distance = torch.linalg.vector_norm(moved, dim=(1, 2), keepdim=True)
    return torch.where(distance > radius, start + moved * (radius / distance.clamp(min=1e-30)), y)


def linf_ball(y: Tensor, start: Tensor, epsilon: float | Tensor) -> Tensor:
    """The nearest point to ``y`` with max|y - y0| <= epsilon * rms(y0)."""
    _check(epsilon)
    counted = (start != 0).sum((1, 2), keepdim=True).clamp(min=1)
    radius = epsilon * (start.square().sum((1, 2), keepdim=True) / counted).sqrt()
    return torch.maximum(torch.minimum(y, start + radius), start - radius)


@dataclass(frozen=True)
class Movable:
    """Which values of a conditioning an attack may move.

    Args:
        tokens: of the sequence: ``content``, what stands before a prompt's first end-of-text token,
            ``padding``, that token and all after it, or ``all``.
        rows: the ``sequence``, the ``pooled`` vector, or ``all``.

    Raises:
        InputError: an unknown choice.
    """

    tokens: str = "all"
    rows: str = "all"

    def __post_init__(self) -> None:
        for key, known in {"tokens": TOKENS, "rows": CHOICES}.items():
            if (value := getattr(self, key)) not in known:
                raise InputError(f"attack.{key} must be one of {', '.join(known)}, but is {value!r}")

    @property
    def everything(self) -> bool:
        """Whether nothing is held at the start."""
        return (self.tokens, self.rows) == ("all", "all")

    def of(self, rows: Rows, content: Tensor) -> Tensor:
        """Boolean (n, rows, width), for prompts of which ``content`` (n, rows) says where their words are.

        Raises:
            InputError: a choice that leaves a prompt nothing.
        """
        if self.rows == "pooled" and not rows.pooled:
            raise InputError("attack.rows=pooled, but the model has no pooled vector: choose sequence or all")
        found = {"all": torch.ones_like(content), "padding": ~content, "content": content}[self.tokens]
        found = (found | rows.of("pooled")) & rows.of(self.rows)
        if not found.any(1).all():
            place = int((~found.any(1)).nonzero()[0])
            raise InputError(
                f"attack.tokens={self.tokens} selects no token of prompt {place}: choose another"
            )
        return found[:, :, None] & rows.read
