"""Distances between embeddings, and their projections onto the plane."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from dori.core.errors import InputError

Measure = Callable[[Tensor, Tensor], Tensor]  # (a, ...) and (b, ...) -> (a, b)


def l2(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of whole sequences."""
    return torch.cdist(a.flatten(1), b.flatten(1))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """1 minus the cosine of whole sequences."""
    return 1 - F.normalize(a.flatten(1), dim=1) @ F.normalize(b.flatten(1), dim=1).T


def token_l2(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance token by token, mean over tokens."""
    return torch.cdist(a.transpose(0, 1), b.transpose(0, 1)).mean(0)


MEASURES: dict[str, Measure] = {"L2": l2, "Cosine": cosine, "Token_L2": token_l2}


def blocks(n: int, size: int) -> Iterator[tuple[slice, slice]]:
    """The upper triangle of an n x n matrix in blocks, row by row."""
    for i in range(0, n, size):
        for j in range(i, n, size):
            yield slice(i, i + size), slice(j, j + size)


def pairwise(y: Tensor, measure: Measure, size: int = 128) -> NDArray[np.float64]:
    """All pairs of embeddings (n, tokens, width): (n, n), in float64, ``size`` x ``size`` at once."""
    found = torch.zeros(len(y), len(y), dtype=torch.float64)
    for rows, columns in blocks(len(y), size):
        part = measure(y[rows].double(), y[columns].double()).cpu()
        found[rows, columns], found[columns, rows] = part, part.T
    return found.fill_diagonal_(0).numpy()


def along(a: Tensor, b: Tensor, measure: Measure) -> NDArray[np.float64]:
    """Distance of each embedding in ``a`` to the one at its place in ``b``: (n,)."""
    return np.array([float(measure(x[None].double(), y[None].double())) for x, y in zip(a, b, strict=True)])


def check_perplexity(perplexity: float, points: int) -> None:
    """Raises InputError where t-SNE cannot have so many neighbours."""
    if not 0 < perplexity < points:
        raise InputError(
            f"study.perplexity must be above 0 and below the number of points, but is {perplexity} for at"
            f" most {points}: lower it, or raise attack.restarts or data.targets"
        )


def projected(y: Tensor, perplexity: float, seed: int) -> dict[str, NDArray[np.float64]]:
    """PCA, which invents no clusters, and t-SNE, which may, of embeddings: (n, 2) each."""
    points = y.flatten(1).double().cpu().numpy()
    pca = PCA(n_components=2, svd_solver="full").fit_transform(points)
    tsne = TSNE(perplexity=min(perplexity, len(points) - 1), init="pca", random_state=seed, n_jobs=1)
    return {"PCA": pca, "t-SNE": tsne.fit_transform(points).astype(np.float64)}
