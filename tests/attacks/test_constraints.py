"""The balls, as properties: for any shape, size, epsilon and precision."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dori.attacks.constraints import Movable, l2_ball, linf_ball, unconstrained
from dori.core.errors import InputError
from dori.diffusion.conditioning import Rows

Ball = Callable[[Tensor, Tensor, float], Tensor]
BALLS = (l2_ball, linf_ball)
FINE = (torch.float32, torch.float64)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6))
epsilons = st.one_of(st.just(0.0), st.floats(1e-6, 1e3))


@st.composite
def points(draw: st.DrawFn, dtypes: tuple = (*FINE, torch.float16)) -> tuple[Tensor, Tensor]:
    """A point and a start (n, tokens, width), each of any size that embeddings have."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    shape, dtype = draw(shapes), draw(st.sampled_from(dtypes))
    start = torch.randn(shape, generator=generator) * draw(st.floats(1e-2, 30))
    moved = torch.randn(shape, generator=generator) * draw(st.floats(0, 100))
    return (start + moved).to(dtype), start.to(dtype)


def norm(ball: Ball, x: Tensor) -> Tensor:
    """The size that the ball bounds, in float64, per sequence."""
    x = x.double()
    return torch.linalg.vector_norm(x, dim=(1, 2)) if ball is l2_ball else x.abs().amax((1, 2))


def radius(ball: Ball, start: Tensor, epsilon: float) -> Tensor:
    x = start.double()
    size = torch.linalg.vector_norm(x, dim=(1, 2))
    return epsilon * (size if ball is l2_ball else size / x[0].numel() ** 0.5)


def slack(ball: Ball, y: Tensor, start: Tensor, epsilon: float) -> Tensor:
    """What rounding may add: each coordinate is stored to the precision of its own size."""
    unit = torch.finfo(y.dtype).eps
    return (
        unit * (4 * norm(ball, start) + 8 * norm(ball, y - start).minimum(radius(ball, start, epsilon)))
        + 1e-7
    )


@pytest.mark.parametrize("ball", BALLS)
@given(points(), epsilons)
def test_nothing_leaves_the_ball(ball: Ball, point: tuple[Tensor, Tensor], epsilon: float) -> None:
    y, start = point
    found = ball(y, start, epsilon)
    assert found.dtype == y.dtype
    room = radius(ball, start, epsilon) + slack(ball, y, start, epsilon)
    assert (norm(ball, found.double() - start.double()) <= room).all()


@pytest.mark.parametrize("ball", BALLS)
@given(points(), st.floats(1e-6, 1e3))
def test_what_is_outside_lands_on_the_surface(
    ball: Ball, point: tuple[Tensor, Tensor], epsilon: float
) -> None:
    y, start = point
    bound, room = radius(ball, start, epsilon), slack(ball, y, start, epsilon)
    outside = norm(ball, y.double() - start.double()) > bound + room
    left = norm(ball, ball(y, start, epsilon).double() - start.double())
    assert (left[outside] >= (bound - room)[outside]).all()


@pytest.mark.parametrize("ball", BALLS)
@given(points(FINE), st.floats(1e-3, 1e3), st.floats(0, 0.99))
def test_what_is_inside_stays(ball: Ball, point: tuple[Tensor, Tensor], epsilon: float, share: float) -> None:
    y, start = point
    moved = y - start
    scale = share * radius(ball, start, epsilon) / norm(ball, moved).clamp(min=1e-12)
    inside = start + moved * scale[:, None, None].to(y.dtype)
    # the scaled step may round away where the ball is small beside the start
    kept = norm(ball, inside.double() - start.double()) < radius(ball, start, epsilon) * (1 - 1e-3)
    assert torch.equal(ball(inside, start, epsilon)[kept], inside[kept])


@pytest.mark.parametrize("ball", BALLS)
@given(points(), epsilons)
def test_projecting_twice_is_projecting_once(
    ball: Ball, point: tuple[Tensor, Tensor], epsilon: float
) -> None:
    y, start = point
    once = ball(y, start, epsilon)
    twice = ball(once, start, epsilon)
    assert (norm(ball, twice.double() - once.double()) <= slack(ball, y, start, epsilon)).all()


@pytest.mark.parametrize("ball", BALLS)
@given(points())
def test_epsilon_zero_gives_the_start_exactly(ball: Ball, point: tuple[Tensor, Tensor]) -> None:
    y, start = point
    assert torch.equal(ball(y, start, 0.0), start)


@pytest.mark.parametrize("ball", BALLS)
@given(points(FINE), epsilons)
def test_each_sequence_has_a_ball_of_its_own(
    ball: Ball, point: tuple[Tensor, Tensor], epsilon: float
) -> None:
    y, start = point
    alone = [ball(y[i : i + 1], start[i : i + 1], epsilon) for i in range(len(y))]
    torch.testing.assert_close(ball(y, start, epsilon), torch.cat(alone), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ball", BALLS)
def test_epsilon_means_the_same_in_every_model(ball: Ball) -> None:
    """Twice the embedding, twice the ball: a displacement of epsilon either way."""
    y, start = torch.randn(2, 1, 4, 3).mul(9).double()
    torch.testing.assert_close(ball(2 * y, 2 * start, 0.3), 2 * ball(y, start, 0.3))


@pytest.mark.parametrize("ball", BALLS)
@pytest.mark.parametrize("epsilon", [-0.1, float("nan"), float("inf")])
def test_an_epsilon_that_is_no_size_is_refused(ball: Ball, epsilon: float) -> None:
    y = torch.ones(1, 2, 2)
    with pytest.raises(InputError, match=f"epsilon must be finite and not negative, but is {epsilon}"):
        ball(y, y, epsilon)


def test_without_a_constraint_nothing_moves() -> None:
    y = torch.randn(1, 2, 2)
    assert unconstrained(y, torch.zeros_like(y)) is y


@pytest.mark.parametrize("ball", BALLS)
@given(points(FINE), st.lists(epsilons, min_size=3, max_size=3))
def test_sequences_may_have_balls_of_different_sizes(
    ball: Ball, point: tuple[Tensor, Tensor], sizes: list[float]
) -> None:
    y, start = point
    each = start.new_tensor(sizes[: len(y)])[:, None, None]
    alone = [ball(y[i : i + 1], start[i : i + 1], sizes[i]) for i in range(len(y))]
    torch.testing.assert_close(ball(y, start, each), torch.cat(alone), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ball", BALLS)
@given(points(), epsilons, st.integers(0, 2**20))
def test_a_token_that_is_held_stays_exactly_and_the_rest_in_the_ball(
    ball: Ball, point: tuple[Tensor, Tensor], epsilon: float, seed: int
) -> None:
    """As the attack composes them: the token mask, then the ball."""
    y, start = point
    allowed = torch.rand(y.shape[:2], generator=torch.Generator().manual_seed(seed)) < 0.5
    found = ball(torch.where(allowed[:, :, None], y, start), start, epsilon)
    assert torch.equal(found[~allowed], start[~allowed])
    room = radius(ball, start, epsilon) + slack(ball, y, start, epsilon)
    assert (norm(ball, found.double() - start.double()) <= room).all()


PLAIN, POOLED = Rows(4, 3), Rows(4, 3, pooled=2)
CONTENT = torch.tensor([[True, True, False, False], [True, False, False, False]])


def moved(tokens: str, rows: str, what: Rows) -> Tensor:
    content = F.pad(CONTENT, (0, what.shape[0] - 4))
    return Movable(tokens, rows).of(what, content).expand(2, *what.shape)


def test_content_padding_and_all_are_rows_of_the_sequence() -> None:
    for tokens, expected in {"content": CONTENT, "padding": ~CONTENT, "all": CONTENT | True}.items():
        assert torch.equal(moved(tokens, "all", PLAIN), expected[:, :, None].expand(2, 4, 3))


@pytest.mark.parametrize("tokens", ["content", "padding", "all"])
def test_a_pooled_row_moves_with_any_tokens_but_for_what_fills_it_up(tokens: str) -> None:
    everything, sequence, pooled = (moved(tokens, rows, POOLED) for rows in ("all", "sequence", "pooled"))
    assert torch.equal(everything, sequence | pooled)
    assert not (sequence & pooled).any()
    assert torch.equal(pooled, torch.tensor([[[False] * 3] * 4 + [[True, True, False]]] * 2))
    assert torch.equal(sequence[:, :4], moved(tokens, "all", PLAIN))


def test_a_choice_that_selects_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"attack\.tokens=content selects no token of prompt 1"):
        Movable("content").of(PLAIN, torch.tensor([[True] * 4, [False] * 4]))
    with pytest.raises(InputError, match=r"attack\.rows=pooled, but the model has no pooled vector"):
        Movable(rows="pooled").of(PLAIN, CONTENT)
    for key in ("tokens", "rows"):
        with pytest.raises(InputError, match=rf"attack\.{key} must be one of all, .*, but is 'words'"):
            Movable(**{key: "words"})


def test_what_fills_up_a_row_counts_for_no_ball() -> None:
    start, far = torch.randn(2, 4, 3), 100 * torch.randn(2, 4, 3)
    filled, there = (F.pad(x, (0, 5)) for x in (start, far))
    for ball in BALLS:
        torch.testing.assert_close(ball(there, filled, 0.5)[..., :3], ball(far, start, 0.5))
