"""Minnow's pictures as targets: the counts, the kinds, and what it never saw."""

import numpy as np
import pytest

from dori.data import KINDS, minnow
from dori.errors import InputError
from dori.minnow import population


@pytest.mark.parametrize("count", [1, 3])
def test_there_are_so_many_of_each_kind(count: int) -> None:
    data = minnow(count, 2)
    assert [target.kind for target in data.targets] == [kind for kind in KINDS for _ in range(count)]
    assert len(data.ordinary.captions) == len(data.ordinary.images) == 2


def test_seen_controls_are_ordinary_pictures_and_unseen_ones_are_not() -> None:
    data = minnow(2, 0)
    first = [population.picture("ordinary", i) for i in range(2)]
    for target, picture in zip(data.of("seen"), first, strict=True):
        assert target.prompt == picture.caption
        assert np.array_equal(target.pixels(), picture.pixels())
    assert [t.prompt for t in data.of("unseen")] == population.captions("unseen", 2)


def test_a_template_has_its_whole_family_and_changes_where_they_differ() -> None:
    (target,) = minnow(1, 0).of("template")
    members = [target.pixels(), *target.family]
    assert len(members) == population.MEMBERS
    assert len({m.tobytes() for m in members}) == population.MEMBERS
    assert target.changing is not None
    differing = np.any([(m != members[0]).any(-1) for m in members], axis=0)
    assert differing.any()
    assert not (differing & ~target.changing).any()


def test_the_smaller_choice_is_part_of_the_larger() -> None:
    few, more = minnow(1, 1), minnow(2, 3)
    names = [target.name for target in more.targets]
    assert all(target.name in names for target in few.targets)
    assert more.ordinary.captions[:1] == few.ordinary.captions


@pytest.mark.parametrize("targets", [0, -1, 49, "some", 1.5])
def test_a_number_of_targets_that_there_is_not_is_refused(targets: int | str) -> None:
    with pytest.raises(InputError, match=f"data.targets must be 1 to 48, or all, but is '?{targets}"):
        minnow(targets, 0)


@pytest.mark.parametrize("ordinary", [-1, 1025])
def test_a_number_of_captions_that_there_is_not_is_refused(ordinary: int) -> None:
    with pytest.raises(InputError, match=f"data.ordinary must be 0 to 1024 for minnow, but is {ordinary}"):
        minnow(1, ordinary)
