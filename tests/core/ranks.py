"""Gloo ranks forked from the test's own process: nothing is loaded again."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.multiprocessing import start_processes

from dori.core.config import build
from dori.core.ranks import joined
from tests import tiny

Make = partial[lightning.Trainer]


def on_ranks(count: int, work: Callable[[int, Make], Any], folder: Path, nodes: int = 1) -> list:
    """What ``work(rank, trainer)`` returns on each rank, JSON-able; ``trainer`` makes trainers of the job."""
    folder.mkdir(exist_ok=True)
    start_processes(_rank, (count // nodes, nodes, work, folder), nprocs=count, start_method="fork")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(count)]


def _rank(rank: int, count: int, nodes: int, work: Callable[[int, Make], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank % count), "NODE_RANK": str(rank // count)}
    cfg = tiny.composed(
        "trainer=ddp", "trainer.accelerator=cpu", f"trainer.devices={count}", f"trainer.num_nodes={nodes}"
    )
    make = partial(build(cfg.trainer), enable_progress_bar=False)
    with joined(make(), folder) as place:
        (folder / f"{rank}.json").write_text(json.dumps(work(place, make)))
