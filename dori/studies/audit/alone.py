"""What the training set says by itself: near-duplicates and captions are known causes of memorization."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dori.data import Target
from dori.studies.audit.drawn import BLOCK


@dataclass(frozen=True)
class Alone:
    """``duplicates``: names of pictures that are near-duplicates of each other, group by group;
    ``unique``: names of the pictures whose caption no other picture has."""

    duplicates: list[list[str]]
    unique: set[str]


def alone(targets: Sequence[Target], descriptors: Tensor, same: float) -> Alone:
    """``same``: the similarity of descriptors (n, d) above which two pictures are one."""
    counts = Counter(target.prompt.strip().lower() for target in targets)
    unique = {target.name for target in targets if counts[target.prompt.strip().lower()] == 1}
    groups: dict[int, list[str]] = {}
    for target, label in zip(targets, _components(descriptors, same), strict=True):
        groups.setdefault(label, []).append(target.name)
    return Alone([names for names in groups.values() if len(names) > 1], unique)


def apart(controls: Tensor, pictures: Tensor, same: float) -> Tensor:
    """Which of the controls (m, d) have no near-duplicate among the pictures (n, d): boolean (m,)."""
    if not len(controls):
        return torch.zeros(0, dtype=torch.bool)
    return torch.cat([(part @ pictures.T <= same).all(1) for part in controls.split(BLOCK)])


def _components(descriptors: Tensor, same: float) -> list[int]:
    rows, columns = [], []
    for places in torch.arange(len(descriptors)).split(BLOCK):
        pairs = (descriptors[places] @ descriptors.T > same).nonzero()
        rows.append(places[pairs[:, 0]])
        columns.append(pairs[:, 1])
    edges = (torch.cat(rows).numpy(), torch.cat(columns).numpy())
    n = len(descriptors)
    graph = coo_matrix(([True] * len(edges[0]), edges), shape=(n, n))
    return connected_components(graph, directed=False)[1].tolist()
