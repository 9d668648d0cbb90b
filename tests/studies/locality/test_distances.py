"""Distances of embeddings by hand, in any blocks; the projections."""

import numpy as np
import pytest
import torch

from dori.core.errors import InputError
from dori.studies.locality.analysis import distances
from dori.studies.locality.analysis.distances import MEASURES

# two tokens of two values
Y = torch.tensor([[[0.0, 0], [3, 4]], [[3, 4], [0, 0]], [[6, 8], [3, 4]]])


@pytest.mark.parametrize(("name", "expected"), [
    ("L2", [50**0.5, 10, 50**0.5]),             # (3,4,3,4), (6,8,0,0), (3,4,3,4)
    ("Cosine", [1, 1 - 1 / 5**0.5, 1 - 2 / 5**0.5]),
    ("Token_L2", [5, 5, 5]),                    # (5 + 5) / 2, (10 + 0) / 2, (5 + 5) / 2
])  # fmt: skip
def test_distances_are_those_by_hand(name: str, expected: list[float]) -> None:
    found = distances.pairwise(Y, MEASURES[name])
    assert [found[0, 1], found[0, 2], found[1, 2]] == pytest.approx(expected)
    assert np.array_equal(found, found.T)
    assert distances.along(Y[:1], Y[1:2], MEASURES[name]) == pytest.approx(expected[:1])


@pytest.mark.parametrize("name", MEASURES)
def test_blocks_make_no_difference(name: str) -> None:
    y = torch.randn(40, 5, 7, generator=torch.Generator().manual_seed(0))
    whole = distances.pairwise(y, MEASURES[name], size=64)
    for size in (1, 7, 40):
        assert np.allclose(distances.pairwise(y, MEASURES[name], size), whole, rtol=1e-7, atol=1e-9)


def test_projections_have_a_point_for_each_and_do_not_depend_on_the_day() -> None:
    y = torch.randn(9, 3, 4, generator=torch.Generator().manual_seed(0))
    first, second = (distances.projected(y, perplexity=30, seed=1) for _ in range(2))
    for name in ("PCA", "t-SNE"):
        assert first[name].shape == (9, 2)
        assert np.array_equal(first[name], second[name])
    # PCA keeps what it shows: the distances in the plane are none larger than in space
    apart = np.linalg.norm(first["PCA"][:, None] - first["PCA"][None], axis=-1)
    assert (apart <= distances.pairwise(y, MEASURES["L2"]) + 1e-9).all()


@pytest.mark.parametrize("perplexity", [0, -1, 8, 9.5])
def test_a_perplexity_that_points_cannot_have_is_refused(perplexity: float) -> None:
    with pytest.raises(InputError, match=f"perplexity must be above 0 .* but is {perplexity} for at most 8"):
        distances.check_perplexity(perplexity, 8)
    distances.check_perplexity(7.9, 8)
