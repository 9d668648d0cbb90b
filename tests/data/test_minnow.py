"""Minnow's pictures as targets: the counts, the kinds, and what it never saw."""

import numpy as np
import pytest

from dori.core.errors import InputError
from dori.data import KINDS, Data, minnow
from dori.minnow.world import population


@pytest.fixture(scope="module")
def few() -> Data:
    return minnow(1, 1)


@pytest.fixture(scope="module")
def more() -> Data:
    return minnow(2, 3)


def test_there_are_half_as_many_of_the_other_kinds(few: Data, more: Data) -> None:
    for data, count, ordinary in ((few, 1, 1), (more, 2, 3)):
        assert [target.kind for target in data.targets] == ["verbatim"] * count + list(KINDS[1:])
        assert len(data.ordinary.captions) == len(data.ordinary.images) == ordinary


def test_the_smaller_choice_is_part_of_the_larger(few: Data, more: Data) -> None:
    identities = [target.identity for target in more.targets]
    assert all(target.identity in identities for target in few.targets)
    assert more.ordinary.captions[:1] == few.ordinary.captions


def test_seen_controls_are_ordinary_pictures_and_unseen_ones_are_not(more: Data) -> None:
    first = [population.picture("ordinary", 0)]
    for target, picture in zip(more.of("seen"), first, strict=True):
        assert target.prompt == picture.caption
        assert (
            np.abs(target.pixels().astype(int) - picture.pixels()).max() <= 1
        )  # a batch may round otherwise
    assert [t.prompt for t in more.of("unseen")] == population.captions("unseen", 1)


def test_captions_for_methods_are_of_no_picture_that_is_measured(more: Data) -> None:
    measured = {*more.ordinary.captions, *(target.prompt for target in more.targets)}
    assert len(set(more.captions)) == len(more.captions) > 100
    assert not measured & set(more.captions)


def test_a_template_has_its_whole_family_and_changes_where_they_differ(few: Data) -> None:
    (target,) = few.of("template")
    members = [target.pixels(), *target.family]
    assert len(members) == population.MEMBERS
    assert len({m.tobytes() for m in members}) == population.MEMBERS
    assert target.changing is not None
    differing = np.any([(np.abs(m.astype(int) - members[0]) > 1).any(-1) for m in members], axis=0)
    assert differing.any()
    assert not (differing & ~target.changing).any()


@pytest.mark.parametrize("targets", [0, -1, 65, "some", 1.5])
def test_a_number_of_targets_that_there_is_not_is_refused(targets: int | str) -> None:
    with pytest.raises(InputError, match=f"data.targets must be 1 to 64, or all, but is '?{targets}"):
        minnow(targets, 0)


@pytest.mark.parametrize("ordinary", [-1, 1025])
def test_a_number_of_captions_that_there_is_not_is_refused(ordinary: int) -> None:
    with pytest.raises(InputError, match=f"data.ordinary must be 0 to 1024 for minnow, but is {ordinary}"):
        minnow(1, ordinary)
