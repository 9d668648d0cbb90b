"""What the analyses compare: triggers, and what stands beside them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dori.core.randomness import generator
from dori.data import Target
from dori.data.targets import embedded
from dori.diffusion import Diffusion

TRIGGER, PROMPT, ORDINARY, RANDOM = "trigger", "memorized prompt", "ordinary prompt", "random embedding"


@dataclass(frozen=True)
class Member:
    """An embedding, as a target that carries it; ``unit``: the image whose trigger it is, else itself.

    ``start`` (tokens, width): where a trigger's search began; ``begun``: from which sort of start.
    """

    target: Target
    kind: str
    unit: str
    start: Tensor | None = None
    begun: str = ""


Members = list[Member]


def random_like(targets: list[Target], count: int, seed: int) -> list[Target]:
    """Embeddings of N(0, 1) coordinates, each scaled to the norm of one of the ``targets``."""
    found = []
    for i in range(count):
        model = targets[i % len(targets)]
        assert model.embedding is not None
        drawn = torch.randn(model.embedding.shape, generator=generator(seed, "random embedding", i))
        scaled = drawn * (model.embedding.norm() / drawn.norm())
        found.append(Target(f"random/{i:05d}", "", "random", model.image, embedding=scaled))
    return found


def embeddings(diffusion: Diffusion, members: Members) -> Tensor:
    """(n, tokens, width)."""
    return embedded([member.target for member in members], diffusion.encode_prompts)


def of_kind(members: Members, kind: str) -> list[int]:
    """The places of one kind."""
    return [i for i, member in enumerate(members) if member.kind == kind]


def units(members: Members, kind: str) -> list[np.ndarray]:
    """For each unit of a kind (an image, a prompt) the places of its members, in their order."""
    places: dict[str, list[int]] = {}
    for i in of_kind(members, kind):
        places.setdefault(members[i].unit, []).append(i)
    return [np.array(group) for group in places.values()]
