"""How far an attack may go: balls around the start, per sequence, relative to its size.

``epsilon`` means the same in every model: the l2 ball has radius epsilon * ||y0||_2, the linf ball
epsilon * ||y0||_2 / sqrt(tokens * width), the root mean square of the start's coordinates. It is one
number, or one for each sequence (n, 1, 1).
"""

import math

import torch
from torch import Tensor

from dori.core.errors import InputError

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
    radius = epsilon * start.square().mean((1, 2), keepdim=True).sqrt()
    return torch.maximum(torch.minimum(y, start + radius), start - radius)


def movable(ids: Tensor, end: int, tokens: str) -> Tensor:
    """Which positions an attack may move, boolean (n, tokens), of prompts' token ids (n, tokens).

    ``content`` is what stands before the first end-of-text token, ``padding`` that token and all
    after it.

    Raises:
        InputError: an unknown choice, or one that leaves a prompt nothing.
    """
    if tokens not in TOKENS:
        raise InputError(f"attack.tokens must be one of {', '.join(TOKENS)}, but is {tokens!r}")
    padding = (ids == end).cumsum(1) > 0
    found = {"all": torch.ones_like(padding), "padding": padding, "content": ~padding}[tokens]
    if not found.any(1).all():
        place = int((~found.any(1)).nonzero()[0])
        raise InputError(f"attack.tokens={tokens} selects no token of prompt {place}: choose another")
    return found
