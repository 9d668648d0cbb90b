"""Overlap of masks by hand, and what chance gives against drawing at random."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dori.pruning import masks
from dori.studies.locality.analysis import overlap
from dori.studies.locality.analysis.cuts import as_many
from dori.studies.locality.analysis.members import Member
from tests.studies.locality.test_pairs import member

SHAPES = {"a": (3, 5), "b": (7,)}


def drawn(seed: int, share: float = 0.4) -> masks.Mask:
    stream = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=stream) < share for name, shape in SHAPES.items()}


def test_all_pairs_are_those_of_the_masks_one_by_one() -> None:
    some = [drawn(i) for i in range(5)]
    packed = overlap.joined([overlap.packed(some[:2]), overlap.packed(some[2:])])
    shared, counts = overlap.shared(packed)
    found = overlap.iou(shared, counts, 1.0)
    for i, a in enumerate(some):
        for j, b in enumerate(some):
            assert found[i, j] == pytest.approx(masks.iou(a, b))
    assert counts.tolist() == [[int(part.sum()) for part in mask.values()] for mask in some]
    assert overlap.layers(packed) == {"a": 15, "b": 7}
    for i, mask in enumerate(some):
        again = overlap.unpacked(packed, i, SHAPES)
        assert all(torch.equal(again[name], part) for name, part in mask.items())


def test_columns_in_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = overlap.packed([drawn(i) for i in range(4)])
    whole = overlap.shared(packed)
    monkeypatch.setattr(overlap, "BITS", 1)
    assert all(np.array_equal(a, b) for a, b in zip(whole, overlap.shared(packed), strict=True))


def test_two_empty_masks_are_what_the_caller_says() -> None:
    empty = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in SHAPES.items()}
    shared, counts = overlap.shared(overlap.packed([empty, empty, drawn(0)]))
    assert np.isnan(overlap.iou(shared, counts, np.nan)[0, 1])
    assert overlap.iou(shared, counts, 1.0)[0, 1] == 1
    assert overlap.iou(shared, counts, 1.0)[0, 2] == 0


def test_chance_by_hand() -> None:
    # 2 and 2 of 3: they share 1 (2 of 3 times, IoU 1/3) or 2 (1 of 3 times, IoU 1)
    assert overlap.expected_iou([2], [2], [3]) == pytest.approx(2 / 3 / 3 + 1 / 3)
    assert np.isnan(overlap.expected_iou([0, 0], [0, 0], [3, 4]))
    assert overlap.expected_iou([0], [2], [3]) == 0
    assert overlap.expected_iou([3, 4], [3, 4], [3, 4]) == 1


@pytest.mark.parametrize(("a", "b", "sizes"), [
    ([3, 5], [4, 2], [9, 11]), ([1, 0, 6], [2, 3, 6], [4, 5, 8]), ([40], [90], [200]),
])  # fmt: skip
def test_chance_is_what_drawing_at_random_gives(a: list[int], b: list[int], sizes: list[int]) -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(4000):
        pairs = [
            (rng.permutation(n)[:x], rng.permutation(n)[:y]) for x, y, n in zip(a, b, sizes, strict=True)
        ]
        shared = sum(len(np.intersect1d(one, other)) for one, other in pairs)
        found.append(shared / (sum(a) + sum(b) - shared))
    error = np.std(found) / np.sqrt(len(found))
    assert overlap.expected_iou(a, b, sizes) == pytest.approx(np.mean(found), abs=4 * error)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(30, 60)), min_size=1, max_size=4)
)
def test_chance_lies_between_none_and_all(layers: list[tuple[int, int, int]]) -> None:
    a, b, sizes = zip(*layers, strict=True)
    found = overlap.expected_iou(a, b, sizes)
    assert np.isnan(found) == (sum(a) + sum(b) == 0)
    assert np.isnan(found) or 0 <= found <= 1 + 1e-12
    assert found == pytest.approx(overlap.expected_iou(b, a, sizes), nan_ok=True)


def test_chance_of_large_layers_is_the_ratio_of_the_means() -> None:
    """What is cut off of the distribution does not matter."""
    a, b, size = 65_000, 120_000, 6_553_600
    shared = a * b / size
    assert overlap.expected_iou([a], [b], [size]) == pytest.approx(shared / (a + b - shared), rel=1e-4)


def test_chance_of_all_pairs_is_of_one_kind_alone() -> None:
    members: list[Member] = [
        member("x", "A"),
        member("y", "A"),
        member("z", "B"),
        member("p", "p", "ordinary prompt"),
    ]
    counts = np.array([[2], [3], [4], [5]])
    found = overlap.chance(counts, [9], members)
    assert found[0, 2] == found[2, 0] == overlap.expected_iou([2], [4], [9])
    assert np.isnan(found[0, 3])


def test_as_many_takes_as_few_masks_as_do_and_cuts_to_the_count() -> None:
    like, parts = drawn(0, 0.3), [drawn(i, 0.2) for i in range(1, 9)]
    taken = []

    def some() -> "list[masks.Mask]":
        for part in parts:
            taken.append(part)
            yield part  # type: ignore[misc]

    found = as_many(some(), like, seed=0)
    assert all(found[name].sum() == like[name].sum() for name in like)
    whole = masks.union(*taken)
    assert all((whole[name] | ~found[name]).all() for name in found)
    fewer = masks.union(*taken[:-1])
    assert any(fewer[name].sum() < like[name].sum() for name in like)
    # where all together have fewer, so has it
    assert masks.count(
        as_many(parts[:1], {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}, 0)
    ) == (masks.count(parts[0]))
