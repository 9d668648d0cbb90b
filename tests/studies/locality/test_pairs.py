"""Means over pairs against cases worked out by hand, and their intervals over images."""

import numpy as np
import pytest
import torch

from dori.data import Target
from dori.metrics.intervals import Estimate
from dori.studies.locality.analysis import pairs
from dori.studies.locality.analysis.cuts import left
from dori.studies.locality.analysis.members import ORDINARY, RANDOM, TRIGGER, Member, random_like
from dori.studies.locality.analysis.shares import Shares
from tests import tiny


def member(name: str, unit: str, kind: str = TRIGGER, begun: str = "") -> Member:
    target = Target(name, "", "verbatim", tiny.picture(0), embedding=torch.zeros(2, 3))
    return Member(target, kind, unit, begun=begun)


def value(figure: Estimate) -> float:
    assert figure["value"] is not None
    return figure["value"]


# image A has three triggers, B two; and two ordinary prompts
MEMBERS = [
    *(member(f"a{i}", "A") for i in range(3)), *(member(f"b{i}", "B") for i in range(2)),
    member("o0", "o0", ORDINARY), member("o1", "o1", ORDINARY),
]  # fmt: skip
VALUES = np.array([
    [0, 1, 2, 10, 20, 9, 9],
    [1, 0, 3, 30, 40, 9, 9],
    [2, 3, 0, 50, 60, 9, 9],
    [10, 30, 50, 0, 8, 9, 9],
    [20, 40, 60, 8, 0, 9, 9],
    [9, 9, 9, 9, 9, 0, 7],
    [9, 9, 9, 9, 9, 7, 0],
], dtype=float)  # fmt: skip


def test_means_are_those_by_hand() -> None:
    found = pairs.of_pairs(VALUES, MEMBERS)
    # A's three pairs: 1, 2, 3; B's one: 8; every image counts once
    assert value(found[pairs.ONE]) == pytest.approx((2 + 8) / 2)
    assert value(found[pairs.DIFFERENT]) == pytest.approx((10 + 20 + 30 + 40 + 50 + 60) / 6)
    assert value(found["ordinary prompts"]) == 7
    assert found[pairs.ONE]["n"] == 2
    assert found["random embeddings"] == {"value": None, "low": None, "high": None, "n": 0}
    assert value(pairs.compared(VALUES, MEMBERS)) == pytest.approx(5 / 35)


def test_the_interval_is_over_images_and_not_over_pairs() -> None:
    """Hundreds of pairs of five images are five images: a mean's jackknife is Student's interval."""
    own = np.repeat([1.0, 5.0, 2.0, 4.0, 3.0], 10)
    members = [member(f"{unit}{i}", unit) for unit in "ABCDE" for i in range(10)]
    found = pairs.of_pairs((own[:, None] + own[None, :]) / 2, members)[pairs.ONE]
    half = 2.776 * np.std(own[::10], ddof=1) / np.sqrt(5)
    assert (found["value"], found["n"]) == (3, 5)
    assert (found["low"], found["high"]) == pytest.approx((3 - half, 3 + half), abs=1e-3)


def test_fewer_than_five_images_have_no_interval() -> None:
    found = [*pairs.of_pairs(VALUES, MEMBERS).values(), pairs.compared(VALUES, MEMBERS)]
    assert {(figure["low"], figure["high"]) for figure in found} == {(None, None)}


def test_an_image_is_no_pair_with_itself() -> None:
    members = [member(f"{unit}{i}", unit) for unit in "ABCDE" for i in range(2)]
    same = np.array([[a.unit == b.unit for b in members] for a in members])
    figure = pairs.of_pairs(np.where(same, -1000.0, 4.0), members)[pairs.DIFFERENT]
    assert (figure["value"], figure["low"], figure["high"]) == (4, 4, 4)


def test_a_ratio_is_jackknifed_on_its_logarithm() -> None:
    """With the within and between means of the four images that are left, one by one."""
    members = [member(f"{unit}{i}", unit) for unit in "ABCDE" for i in range(2)]
    values = np.random.default_rng(0).uniform(1, 2, (10, 10))
    values = (values + values.T) / 2
    found = pairs.compared(values, members)
    cells = np.array([[values[2 * a : 2 * a + 2, 2 * b : 2 * b + 2].mean() if a != b else
                       values[2 * a, 2 * a + 1] for b in range(5)] for a in range(5)])  # fmt: skip
    logs = []
    for image in range(5):
        rest = np.delete(np.delete(cells, image, 0), image, 1)
        logs.append(np.log(np.diag(rest).mean() / rest[~np.eye(4, dtype=bool)].mean()))
    half = 2.7764 * np.sqrt(0.8 * np.square(logs - np.mean(logs)).sum())
    value_ = np.diag(cells).mean() / cells[~np.eye(5, dtype=bool)].mean()
    assert value(found) == pytest.approx(value_)
    assert found["low"] == pytest.approx(value_ * np.exp(-half), rel=1e-4)
    assert found["high"] == pytest.approx(value_ * np.exp(half), rel=1e-4)


def test_starts_of_one_sort_do_not_make_other_images_look_alike() -> None:
    """All that matters here is from which sort of start a trigger came: no image has anything of its own."""
    members = [
        member(f"{unit}{sort}{i}", unit, begun=sort) for unit in "ABCDE" for sort in "go" for i in range(2)
    ]
    same = np.array([[a.begun == b.begun for b in members] for a in members])
    values = np.where(same, 1.0, 5.0)
    figure = pairs.compared(values, members)
    assert (figure["value"], figure["low"], figure["high"]) == (1, pytest.approx(1), pytest.approx(1))
    assert value(pairs.of_pairs(values, members)[pairs.ONE]) == 3


def test_pairs_left_out_count_nowhere() -> None:
    values = VALUES.copy()
    values[3, 4] = values[4, 3] = np.nan  # B's only pair
    found = pairs.of_pairs(values, MEMBERS)[pairs.ONE]
    assert (found["value"], found["n"]) == (2, 1)


def test_one_image_has_no_pairs_of_different_ones() -> None:
    found = pairs.of_pairs(VALUES[:3, :3], MEMBERS[:3])
    assert found[pairs.DIFFERENT]["value"] is None
    assert pairs.compared(VALUES[:3, :3], MEMBERS[:3])["value"] is None


def test_one_value_per_trigger_is_a_mean_over_images() -> None:
    assert value(pairs.each(np.array([1, 2, 3, 10, np.nan]), MEMBERS[:5])) == pytest.approx((2 + 10) / 2)


def test_random_embeddings_have_the_norms_of_triggers() -> None:
    like = [
        Target(str(i), "", "verbatim", tiny.picture(0), embedding=torch.full((4, 5), i + 1.0))
        for i in range(2)
    ]
    found = random_like(like, 5, seed=3)
    norms = [float(target.embedding.norm()) for target in found if target.embedding is not None]
    wanted = [float(like[i % 2].embedding.norm()) for i in range(5)]  # type: ignore[union-attr]
    assert norms == pytest.approx(wanted)
    assert len({target.identity[-1] for target in found}) == 5
    assert RANDOM in pairs.BESIDE.values()


def test_left_counts_the_triggers_beyond_k_and_the_k_themselves() -> None:
    drawn = [np.array([True, False, True, True]), np.array([False, True])]
    orders = [[1, 0, 2, 3], [0, 1]]
    others, used = (side.over_images() for side in left(drawn, orders, 1))
    assert value(others) == pytest.approx((1 + 1) / 2)  # 0, 2, 3 of the first; 1 of the second
    assert value(used) == 0  # its first are 1 and 0
    others, used = (side.over_images() for side in left(drawn, orders, 2))
    assert (value(others), others["n"], value(used)) == (1, 1, pytest.approx(0.5))  # one has no third trigger
    assert value(left(drawn, orders, 0)[0].over_images()) == pytest.approx((0.75 + 0.5) / 2)


def test_shares_are_compared_on_the_images_that_have_both() -> None:
    one = Shares.of([[1, 1], [1, 0], [1, 1], [1, 1], [1, 1], []])
    other = Shares.of([[0, 0], [0, 0], [0, 1], [0, 0], [0, 0], [1]])
    found = one.above(other)
    assert (value(found), found["n"]) == (pytest.approx(0.9 - 0.1), 5)
    assert found["low"] is not None and found["low"] > 0
    few = Shares.of([[1], [1]]).above(Shares.of([[0], [0]]))
    assert (few["value"], few["low"], few["n"]) == (1, None, 2)
