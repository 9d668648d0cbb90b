"""CMMD against the plain sums of its definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dori.metrics.cmmd import cmmd
from dori.metrics.jackknife import jackknife_error


def embeddings(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, 6, generator=generator) + shift, dim=1)


def plain(x: np.ndarray, y: np.ndarray) -> float:
    """Pair by pair, as the paper writes it."""

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        kernel = [np.exp(-((u - v) ** 2).sum() / 200) for u in a for v in b]
        return sum(kernel) / len(kernel)

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_cmmd_is_the_mean_over_all_pairs() -> None:
    x, y = embeddings(7, 0), embeddings(9, 1, shift=0.8)
    found = cmmd(x, y)
    assert found["n"] == 7
    assert found["value"] == pytest.approx(plain(x.double().numpy(), y.double().numpy()), abs=1e-9)


def test_its_interval_is_a_jackknife_over_the_pictures_of_both() -> None:
    x, y = embeddings(7, 0).double(), embeddings(9, 1, shift=0.8).double()
    a, b = x.numpy(), y.numpy()
    left = [
        [plain(np.delete(a, i, 0), b) for i in range(len(a))],
        [plain(a, np.delete(b, i, 0)) for i in range(len(b))],
    ]
    error = np.hypot(*map(jackknife_error, left))
    found = cmmd(x, y)
    assert (found["high"] - found["low"]) / 2 == pytest.approx(2.446912 * error, rel=1e-6)  # t of 6


def test_it_is_above_zero_by_the_pairs_of_a_picture_with_itself() -> None:
    x, y = embeddings(400, 0), embeddings(400, 1)
    kernel = np.exp(-(torch.cdist(x, y).double().numpy() ** 2) / 200).mean()
    assert cmmd(x, y)["value"] == pytest.approx(1000 * (1 - kernel) * 2 / 400, rel=0.5)
    assert cmmd(x, x)["value"] == pytest.approx(0, abs=1e-9)
