"""Work in chunks through Lightning: each chunk once, whoever does it."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dori.core.predict import ChunkData, Predictor
from dori.core.progress import told_to


@given(st.integers(0, 30), st.integers(1, 7), st.integers(1, 4))
def test_ranks_share_the_chunks_without_repeating_any(count: int, world: int, together: int) -> None:
    """Lightning's own sampler pads with repetitions."""
    shares = []
    for rank in range(world):
        data = ChunkData([[i] for i in range(count)], together)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
        batches = list(data.predict_dataloader())
        assert all(1 <= len(batch) <= together for batch in batches)
        shares.append([chunk for batch in batches for chunk in batch])
    assert sorted(chunk for share in shares for chunk in share) == [[i] for i in range(count)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.fixture
def cores() -> Iterator[int]:
    """As on a machine of three cores, whatever this one has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_chunks_go_on_side_by_side_on_a_cpu(predictor: Predictor, cores: int) -> None:
    """Each has a thread of its own, and its share of the cores; all is as before afterwards."""
    together, seen = threading.Barrier(cores, timeout=30), []

    def work(chunk: list[int]) -> None:
        together.wait()  # nobody gets past it alone
        seen.append((chunk, threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()))

    predictor.run([nn.Linear(1, 1)], work, [[i] for i in range(2 * cores)])
    assert sorted(chunk for chunk, *_ in seen) == [[i] for i in range(2 * cores)]
    assert {(threads, gradients) for _, _, threads, gradients in seen} == {(1, False)}
    assert len({thread for _, thread, *_ in seen[:cores]}) == cores
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize("hooked", [True, False])
def test_work_that_shares_more_than_weights_goes_on_alone(
    predictor: Predictor, cores: int, hooked: bool
) -> None:
    """What hooks layers, and what autocast is for: it holds in one thread. Chunks are whole then."""
    if not hooked:
        make = partial(predictor.make.func, **{**predictor.make.keywords, "precision": "bf16-mixed"})
        predictor = Predictor(make)
    inside: list[int] = []

    def work(chunk: list[int]) -> None:
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.01)
        inside.pop()

    predictor.run([nn.Linear(1, 1)], work, [[i] for i in range(6)], hooked)
    assert predictor.chunks(list(range(6)), 6, hooked) == [[0, 1, 2, 3, 4, 5]]


def test_an_error_in_one_of_several_chunks_comes_out(predictor: Predictor, cores: int) -> None:
    def work(chunk: list[int]) -> None:
        if chunk == [1]:
            raise FloatingPointError("not finite")

    with pytest.raises(FloatingPointError, match="not finite"):
        predictor.run([nn.Linear(1, 1)], work, [[0], [1], [2]])
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize("chunks", [[], [[1, 2], [3]], [["a"]]])
def test_every_chunk_is_done_once_in_order(predictor: Predictor, chunks: list) -> None:
    done: list = []
    predictor.run([nn.Linear(1, 1)], done.append, chunks, hooked=True)
    assert done == chunks


def test_work_may_take_gradients(predictor: Predictor) -> None:
    network, found = nn.Linear(2, 1), []

    def work(chunk: list[float]) -> None:
        x = torch.tensor(chunk)
        with torch.enable_grad():
            x.requires_grad_(True)
            network(x).sum().backward()
        found.append(x.grad)

    predictor.run([network], work, [[1.0, 2.0]])
    assert torch.equal(found[0], network.weight[0])


def test_networks_are_in_evaluation_mode_and_keep_their_weights(predictor: Predictor) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes: list[bool] = []
    predictor.run([network], lambda _: modes.append(network.training), [[0]])
    assert modes == [False]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_it_is_told_how_many_of_the_chunks_are_done(predictor: Predictor) -> None:
    shares: list[float] = []

    class Listener:
        advanced = shares.append

    with told_to(Listener()):
        predictor.run([nn.Linear(1, 1)], lambda chunk: None, [[0], [1], [2], [3]])
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_an_error_in_the_work_comes_out_as_it_is(predictor: Predictor) -> None:
    def work(chunk: list) -> None:
        raise FloatingPointError("not finite")

    with pytest.raises(FloatingPointError, match="not finite"):
        predictor.run([nn.Linear(1, 1)], work, [[1]])


def test_networks_are_placed_where_the_trainer_would_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    network, moves = nn.Linear(1, 1), []
    monkeypatch.setattr(nn.Module, "to", lambda self, device: moves.append(torch.device(device)))
    monkeypatch.setattr(nn.Module, "cpu", lambda self: moves.append("back"))
    strategy = SimpleNamespace(root_device=torch.device("cuda", 1))
    predictor = Predictor(lambda **_: SimpleNamespace(strategy=strategy))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="inside"), predictor.placed([network]):
        assert moves == [torch.device("cuda", 1)]
        raise RuntimeError("inside")
    assert moves[-1] == "back"
