"""Cliques of near-duplicates: against brute force, and what must hold of any samples."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dori.metrics import extraction as module
from dori.metrics.extraction import Extraction, extraction, largest_clique, near_duplicates
from dori.metrics.intervals import clopper_pearson


def graph(nodes: int, density: float, seed: int) -> Tensor:
    upper = np.triu(np.random.default_rng(seed).random((nodes, nodes)) < density, 1)
    return torch.from_numpy(upper | upper.T)


graphs = st.builds(graph, st.integers(1, 9), st.floats(0, 1), st.integers(0, 999))


def is_clique(near: Tensor, members: list[int]) -> bool:
    return all(near[j, k] for j, k in combinations(members, 2))


def by_brute_force(near: Tensor) -> int:
    """Size of the largest clique, all subsets tried."""
    sizes = range(len(near), 0, -1)
    return next(n for n in sizes if any(is_clique(near, list(c)) for c in combinations(range(len(near)), n)))


def samples(prompts: int, count: int, seed: int, spread: float = 1.0) -> Tensor:
    """Descriptors (prompts, count, 4) of which some are near to each other."""
    stream = torch.Generator().manual_seed(seed)
    centre = torch.randn(prompts, 1, 4, generator=stream)
    return centre + spread * torch.randn(prompts, count, 4, generator=stream)


@given(graphs)
def test_the_largest_clique_is_that_of_brute_force(near: Tensor) -> None:
    found, size = largest_clique(near), by_brute_force(near)
    assert len(found) == size and found == sorted(set(found)) and is_clique(near, found)
    for enough in range(2, len(near) + 1):
        members = largest_clique(near, enough)
        assert bool(members) == (size >= enough)
        assert not members or (len(members) >= enough and is_clique(near, members))


@given(graphs, st.integers(0, 2**9 - 1))
def test_a_sample_more_never_lowers_the_largest_clique(near: Tensor, row: int) -> None:
    n = len(near)
    more = torch.zeros(n + 1, n + 1, dtype=torch.bool)
    more[:n, :n] = near
    more[n, :n] = more[:n, n] = torch.tensor([row >> j & 1 for j in range(n)]).bool()
    assert len(largest_clique(more)) >= len(largest_clique(near))


@given(st.integers(3, 8), st.integers(0, 999), st.integers(2, 3), st.floats(0.1, 2))
def test_a_sample_more_never_hides_a_prompt(count: int, seed: int, clique: int, spread: float) -> None:
    drawn, original = samples(2, count + 1, seed, spread), samples(2, 1, seed, 0)
    similarity = torch.cosine_similarity(drawn, original, dim=-1)
    fewer = extraction(drawn[:, :count], similarity[:, :count], clique)
    for before, after in zip(fewer, extraction(drawn, similarity, clique), strict=True):
        assert (before <= after).all()


@given(st.integers(2, 8), st.integers(0, 999), st.randoms(use_true_random=False), st.floats(0.1, 2))
def test_the_order_and_length_of_descriptors_do_not_matter(
    count: int, seed: int, random: object, spread: float
) -> None:
    drawn = samples(3, count, seed, spread)
    similarity = torch.rand(3, count, generator=torch.Generator().manual_seed(seed))
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    found, extracted = extraction(drawn, similarity, 2)
    again = extraction(8 * drawn[:, order], similarity[:, order], 2)
    assert torch.equal(found, again[0]) and torch.equal(extracted, again[1])
    assert (extracted <= found).all()


@pytest.mark.parametrize("n", [2, 7, 300])
def test_equal_samples_are_one_clique(n: int) -> None:
    near = near_duplicates(torch.ones(n, 8))
    assert largest_clique(near) == list(range(n))
    assert len(largest_clique(near, enough=n)) == n
    assert not near.diagonal().any()


def test_samples_that_differ_have_no_clique() -> None:
    assert not near_duplicates(torch.eye(6)).any()
    assert largest_clique(near_duplicates(torch.eye(6)), 2) == []


def test_near_is_strictly_above_the_threshold() -> None:
    pair = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert near_duplicates(pair, 0.59).any()
    assert not near_duplicates(pair, 0.61).any()


def test_a_chain_of_near_duplicates_is_no_clique() -> None:
    """Each is near to the next alone: a connected component would take them all."""
    angle = torch.arange(6) * np.pi / 5
    chain = torch.stack([angle.cos(), angle.sin()], 1)
    assert largest_clique(near_duplicates(chain), 3) == []
    assert len(largest_clique(near_duplicates(chain), 2)) == 2


def test_a_clique_must_match_by_itself_to_be_extracted() -> None:
    """Three near-duplicates of something else, and two of the training image."""
    drawn = torch.tensor([[[1.0, 0, 0]] * 3 + [[0.0, 1, 0]] * 2])
    match = torch.tensor([[0.1, 0.1, 0.1, 0.9, 0.9]])
    assert [part.item() for part in extraction(drawn, match, 2)] == [True, True]
    assert [part.item() for part in extraction(drawn, match, 3)] == [True, False]
    assert [part.item() for part in extraction(drawn, match, 4)] == [False, False]
    # three that match, but two and one apart: no clique of three
    apart = torch.tensor([[0.1, 0.1, 0.9, 0.9, 0.9]])
    assert [part.item() for part in extraction(drawn, apart, 3)] == [True, False]


def test_counts_add_up_over_batches() -> None:
    drawn = torch.tensor([[[1.0, 0]] * 3, [[1.0, 0]] * 3, [[1.0, 0], [0, 1], [-1, 0]]])
    similarity = torch.tensor([[0.9] * 3, [0.1] * 3, [0.9] * 3])
    metric = Extraction(clique=3)
    for i in range(3):
        metric.update(drawn[i : i + 1], similarity[i : i + 1])
    got = metric.compute()
    assert {name: (value["value"], value["n"]) for name, value in got.items()} == {
        "Extracted": (pytest.approx(1 / 3), 3),
        "Cliques": (pytest.approx(2 / 3), 3),
        "Clique_Precision": (0.5, 2),
    }
    assert (got["Clique_Precision"]["low"], got["Clique_Precision"]["high"]) == clopper_pearson(1, 2)


def test_without_a_clique_nothing_is_known_of_precision() -> None:
    metric = Extraction(clique=2)
    metric.update(torch.eye(4)[None], torch.ones(1, 4))
    assert metric.compute()["Clique_Precision"] == {"value": None, "low": 0, "high": 1, "n": 0}


def test_the_search_is_bounded_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # three of each of four, none near its own: 3 ** 4 maximal cliques
    near = ~torch.block_diag(*[torch.ones(3, 3)] * 4).bool()
    assert len(largest_clique(near)) == 4 and not caplog.records
    monkeypatch.setattr(module, "SEARCHED", 5)
    assert largest_clique(near, 5) == []
    assert "ended after 5" in caplog.text
    caplog.clear()
    assert len(largest_clique(near, 4)) == 4 and not caplog.records


def test_what_is_no_sample_is_refused() -> None:
    drawn, similarity = torch.ones(2, 3, 4), torch.ones(2, 3)
    with pytest.raises(ValueError, match="clique of 4 among 3 samples"):
        extraction(drawn, similarity, 4)
    with pytest.raises(ValueError, match="clique of 1 among 3"):
        extraction(drawn, similarity, 1)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        extraction(drawn, similarity[:, :2], 2)
    with pytest.raises(ValueError, match="not finite"):
        extraction(drawn * torch.nan, similarity, 2)
    with pytest.raises(ValueError, match="not finite"):
        extraction(drawn, similarity * torch.nan, 2)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\)"):
        near_duplicates(drawn)
