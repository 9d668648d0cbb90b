"""Seeds that depend on their purpose, and on nothing else."""

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from dori.core.randomness import derive, generator

purposes = st.lists(st.text() | st.integers(), max_size=3).map(tuple)


@given(st.integers(), purposes)
def test_a_seed_is_one_that_torch_takes(seed: int, purpose: tuple) -> None:
    found = derive(seed, *purpose)
    assert 0 <= found < 2**63
    assert generator(seed, *purpose).initial_seed() == found


@given(st.integers(), st.integers(), purposes, purposes)
def test_other_purposes_have_other_seeds(one: int, two: int, first: tuple, second: tuple) -> None:
    texts = ["/".join(map(str, (seed, *purpose))) for seed, purpose in ((one, first), (two, second))]
    assume(texts[0] != texts[1])
    assert derive(one, *first) != derive(two, *second)


def test_the_numbers_are_the_same_in_every_version_of_dori() -> None:
    """Published results rest on them."""
    assert derive(0, "image", "verbatim/000", 3) == 3855352167603899738


def test_the_global_state_is_neither_read_nor_changed() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = torch.rand(2, generator=generator(0, "a"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(2, generator=generator(0, "a")), one)
