"""Ranks of one job: what one does for all, who computes a stage, and what a trainer deals out."""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from safetensors.torch import load_file
from torch import distributed, nn
from torch.utils.data import DataLoader

from dori.attacks import Attack
from dori.attacks.constraints import l2_ball
from dori.attacks.objectives import denoising_loss
from dori.attacks.parts import merge_parts, write_parts
from dori.attacks.starts import prompt
from dori.core.predict import Predictor
from dori.core.ranks import Ranks, once, process_group, world
from dori.core.stages import Stages
from dori.data import Data, Ordinary, Target
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion
from dori.diffusion.images import draw, load
from dori.metrics.memorization_rate import MemorizationRate
from dori.metrics.sscd import sscd
from dori.minnow.descriptor import Descriptor
from tests import tiny
from tests.core.ranks import Make, on_ranks


def test_without_ranks_there_is_one_process() -> None:
    assert once(lambda: {"a": (1,)}) == {"a": (1,)}
    assert world() == 1
    with process_group():
        assert not distributed.is_initialized()


class Late:
    """A store in which keys appear only after some looks."""

    def __init__(self, looks: int):
        self.looks, self.asked = looks, []

    def check(self, keys: list[str]) -> bool:
        self.asked.append(keys)
        return len(self.asked) > self.looks


def test_waiting_goes_on_until_all_keys_are_there() -> None:
    store = Late(3)
    Ranks(0, 2, "gloo", store).wait_for(f"left/{rank}" for rank in range(2))  # type: ignore[arg-type]
    assert store.asked == [["left/0", "left/1"]] * 4


def agree(rank: int, make: Make) -> Any:
    seen = once(lambda: [os.getpid(), world(), once(lambda: "inner")])
    return [world(), os.getpid(), seen, once(lambda: [rank])]


def test_what_is_done_once_is_known_to_all(tmp_path: Path) -> None:
    first, second = on_ranks(2, agree, tmp_path / "ranks")
    assert first == [2, first[1], [first[1], 1, "inner"], [0]]
    assert second == [2, second[1], first[2], [0]]
    assert first[1] != second[1]


def test_nodes_meet_at_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(find_free_network_port()))
    found = on_ranks(4, agree, tmp_path / "ranks", nodes=2)
    assert [each[0] for each in found] == [4] * 4
    assert [each[2] for each in found] == [[found[0][1], 1, "inner"]] * 4


def stages(rank: int, make: Make, root: Path) -> Any:
    """Three stages; each says in its folder who took part, and what it returned."""
    made = Stages(root)
    predictor = Predictor(make)

    def compute(folder: Path, inner: bool = False) -> dict:
        (folder / f"by-{rank}").touch()
        if inner:  # as a pruning method keeps what it needs to know
            made.run("inner", {}, compute)
        return {"rank": rank}

    def deals(folder: Path) -> dict:
        def work(chunk: list[int]) -> None:
            (folder / f"chunk-{chunk[0]}-by-{rank}").touch()

        predictor.run([nn.Linear(1, 1)], work, predictor.chunks([0, 1, 2, 3], 4))
        return once(lambda: {"rank": rank, "parts": len(list(folder.iterdir()))})

    def refused(folder: Path) -> dict:
        with pytest.raises(RuntimeError, match="must say by_all"):
            predictor.run([nn.Linear(1, 1)], print, [[0]])
        return {}

    made.run("outer", {}, partial(compute, inner=True))
    made.run("dealt", {}, deals, by_all=True)
    made.run("refused", {}, refused)
    again = made.run("dealt", {}, refused, by_all=True)
    return [[r.name, r.cached, r.info] for r in made.results] + [again.cached]


def test_a_stage_is_computed_by_one_rank_or_dealt_out_to_all(tmp_path: Path) -> None:
    found = on_ranks(2, partial(stages, root=tmp_path / "cache"), tmp_path / "ranks")
    dealt = ["dealt", False, {"rank": 0, "parts": 2}]
    rest = [["outer", False, {"rank": 0}], dealt, ["refused", False, {}], ["dealt", True, dealt[2]], True]
    assert found[1] == rest
    assert found[0] == [["inner", False, {"rank": 0}], *rest]
    files = {p.relative_to(tmp_path / "cache").parts[0]: [] for p in tmp_path.glob("cache/*/*/done.json")}
    for path in tmp_path.glob("cache/*/*/*"):
        if path.name != "done.json":
            files[path.relative_to(tmp_path / "cache").parts[0]].append(path.name)
    # four items in chunks of up to four: two each, so that no rank is idle
    assert {name: sorted(names) for name, names in files.items()} == {
        "inner": ["by-0"], "outer": ["by-0"], "dealt": ["chunk-0-by-0", "chunk-2-by-1"], "refused": [],
    }  # fmt: skip


def idle(rank: int, make: Make) -> Any:
    done, said = [], []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("dori.core.predict").addHandler(handler)
    Predictor(make, "attack").run([nn.Linear(1, 1)], done.append, [["only"]])
    return [done, said]


def test_more_ranks_than_work_is_stated(tmp_path: Path) -> None:
    assert on_ranks(3, idle, tmp_path / "ranks") == [
        [[["only"]], ["attack: 3 ranks for 1 chunks, 2 idle"]], [[], []], [[], []],
    ]  # fmt: skip


class Regression(lightning.LightningModule):
    """Eight points, dealt to ranks by index; no sampler of Lightning's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        nn.init.ones_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def train_dataloader(self) -> DataLoader:
        x = torch.arange(16.0).view(8, 2) / 16
        mine = x[self.trainer.global_rank :: self.trainer.world_size]
        return DataLoader(mine, batch_size=8 // self.trainer.world_size)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return (self.layer(batch) - 3).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(rank: int, make: Make) -> Any:
    rates = []
    for _ in range(2):  # a job trains and measures more than once
        module = Regression()
        with process_group():
            make(max_epochs=3).fit(module)
        rate = MemorizationRate()
        rate.update(torch.ones(5, 1))  # each rank has them all
        rates.append(rate.compute()["n"])
    return [module.layer.weight.tolist(), rates, distributed.is_initialized()]


def test_training_reduces_gradients_and_measuring_afterwards_does_not(
    tmp_path: Path, trainer: Callable[..., lightning.Trainer]
) -> None:
    """The gradient of the mean over ranks is that of one process with the whole batch."""
    alone = Regression()
    trainer(max_epochs=3, enable_progress_bar=False).fit(alone)
    for weight, rates, left in on_ranks(2, fit, tmp_path / "ranks"):
        torch.testing.assert_close(torch.tensor(weight), alone.layer.weight.detach())
        assert (rates, left) == ([5, 5], False)


TARGETS = [Target(f"verbatim/{i}", tiny.prompts(1, i)[0], "verbatim", tiny.picture(i)) for i in range(3)]


def attacked(rank: int, make: Make, model: StableDiffusion, batch: int, folder: Path) -> None:
    """Triggers of three targets with two restarts each, and an image of every one."""
    attack = Attack(
        "dori", steps=4, pairs=2, start=prompt, constraint=partial(l2_ball, epsilon=0.8),
        objective=denoising_loss, optimizer=partial(torch.optim.Adam, lr=0.1), batch=batch, restarts=2,
    )  # fmt: skip
    predictor, data = Predictor(make), Data(TARGETS, Ordinary([]), [])
    write_parts(attack, model, data, TARGETS, [0, 1, 2], {attack.budgets[0]: folder}, predictor)
    embeddings = once(lambda: merge_parts(folder)["embeddings"].tolist())
    draw(model, torch.tensor(embeddings), [t.name for t in TARGETS], 2, folder, predictor, restarts=2)


@pytest.mark.parametrize("batch", [4, 64])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_two_processes_attack_as_one_does(
    make_diffusion: Callable[..., StableDiffusion], trainer: Make, tmp_path: Path, measures: Path, dtype: str,
    batch: int,
) -> None:  # fmt: skip
    """Two attempts at a time in both; then all six at once, against three on each of two."""
    model, folders = make_diffusion(dtype=dtype), [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    attacked(0, trainer, model, batch, folders[0])
    on_ranks(2, partial(attacked, model=model, batch=batch, folder=folders[1]), tmp_path / "ranks")
    one, two = (load_file(folder / "triggers.safetensors") for folder in folders)
    images = [torch.cat([load(folder, i, 2) for i in range(3)]) for folder in folders]
    if batch == 4:  # the same sums in the same order
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert torch.equal(*images)
    elif dtype == "float64":
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-7)  # kept in float32
        assert (images[0].int() - images[1].int()).abs().max() <= 1  # of 255: a rounded half
    network = Descriptor(**tiny.DESCRIPTOR, path=str(measures / "descriptor.safetensors")).eval()
    originals = tensor([target.pixels() for target in TARGETS], (tiny.SIDE,) * 2).repeat_interleave(2, 0)
    with torch.no_grad():
        first, second, original = (network(x.float() / 255) for x in (*images, originals))
    assert (sscd(first, original) - sscd(second, original)).abs().max() <= 0.02
