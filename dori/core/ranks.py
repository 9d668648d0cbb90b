"""The ranks of one job: what rank 0 does for all of them, and the process group of their trainers.

A job may take several processes (``trainer=ddp``), also as one of many in a multirun.

The process that Hydra started launches a rank per device and only watches them (``dori.app.launch``). So it
never joins a process group, its environment stays as it was, and a rank that fails or is killed fails this
job alone: the others are ended, the multirun goes on. Ranks end with the process that launched them.
Lightning's own launcher would run the command line again, which in a multirun is the whole sweep; a rank
(``dori.app.rank``) starts from the job's resolved configuration instead, as a single run with the same output
folder.

Every rank runs the same study (this module):

- a stage's cache entry is looked at, locked and finished by rank 0 alone, so all ranks agree on what is
  missing;
- most stages are computed by rank 0 while the others wait. A stage that uses a trainer says ``by_all``:
  every rank runs its ``compute``, the trainer deals out the work (``dori.core.predict``) or reduces gradients
  within ``process_group``, and what only one process may do, such as merging parts, goes through ``once``;
- rows are arithmetic on finished stages: each rank repeats it, and rank 0 alone writes, logs and prints.
  What the others print is in ``rank-<n>.log`` in the job's folder.

Nodes (``trainer.num_nodes``) share the cache and the output folder. The command is run once on each, by
SLURM (``hydra/launcher=slurm``) or by hand with MASTER_ADDR, MASTER_PORT and NODE_RANK.
"""

# torch and Lightning are imported where there are ranks: a command line is answered before they are

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from lightning import Trainer
    from torch.distributed import Store

T = TypeVar("T")
R = TypeVar("R")
# rank 0 may compute for hours while the others wait; a lost rank is noticed by who launched it
PATIENCE = timedelta(days=30)


@dataclass
class Ranks:
    """This process among the ranks of its job; ``alone`` while the others wait for it."""

    rank: int
    world: int
    backend: str
    store: "Store"
    alone: bool = False
    met: int = 0  # how often the ranks have told each other something, so that each time has its key

    def wait_for(self, keys: Iterable[str]) -> None:
        """In Python, so that a signal gets through."""
        wanted = list(keys)  # an empty iterator would be there at once
        while not self.store.check(wanted):
            time.sleep(0.02)


_ranks: Ranks | None = None


def world() -> int:
    """How many ranks share the work that goes on now."""
    return 1 if _ranks is None or _ranks.alone else _ranks.world


def once(make: Callable[[], T]) -> T:
    """What ``make`` returns (JSON-able), called by rank 0 alone, on every rank.

    Within it rank 0 is the only rank.
    """
    ranks = _ranks
    if ranks is None or ranks.alone:
        return make()
    ranks.met += 1
    key = f"once/{ranks.met}"
    if ranks.rank:
        ranks.wait_for([key])
        return json.loads(ranks.store.get(key))
    ranks.alone = True
    try:
        made = make()
    finally:
        ranks.alone = False
    ranks.store.set(key, json.dumps(made))
    return made


@contextmanager
def process_group() -> Iterator[None]:
    """Around every use of a trainer: the group over which its processes reduce. All leave it together.

    Between these, each rank is one process to torchmetrics, which would add up what all of them have.

    Raises:
        RuntimeError: in a stage that rank 0 computes alone.
    """
    ranks = _ranks
    if ranks is None:
        yield
        return
    if ranks.alone:
        raise RuntimeError("a stage that uses a trainer must say by_all: the other ranks wait")
    from torch import distributed

    ranks.met += 1
    store = distributed.PrefixStore(f"group/{ranks.met}", ranks.store)
    distributed.init_process_group(
        ranks.backend, store=store, rank=ranks.rank, world_size=ranks.world, timeout=PATIENCE
    )
    yield
    # after an error there is no end to wait for: this process ends, and with it the job
    ranks.store.set(f"left/{ranks.met}/{ranks.rank}", "")
    ranks.wait_for(f"left/{ranks.met}/{rank}" for rank in range(ranks.world))
    distributed.destroy_process_group()


def dealt(items: list[T], work: Callable[[list[T]], list[R]]) -> list[R]:
    """``work(items)``, a result for each of them; within a process group each rank does its share."""
    ranks = _ranks
    if ranks is None or ranks.alone:
        return work(items)
    from torch import distributed

    share = items[ranks.rank :: ranks.world]
    parts: list[Any] = [None] * ranks.world
    distributed.all_gather_object(parts, work(share) if share else [])
    found: list[Any] = [None] * len(items)
    for rank, part in enumerate(parts):
        found[rank :: ranks.world] = part
    return found


@contextmanager
def joined(trainer: "Trainer", folder: Path) -> Iterator[int]:
    """This process as a rank of the job, which it is by the trainer; gives its rank."""
    global _ranks
    backend = "nccl" if trainer.strategy.root_device.type == "cuda" else "gloo"
    rank, ranks = trainer.global_rank, trainer.world_size
    _ranks = Ranks(rank, ranks, backend, _store(trainer, folder))
    try:
        yield rank
        _part(_ranks)
    finally:
        _ranks = None


def _part(ranks: Ranks) -> None:
    """Together, when all is written; rank 0 last, which may serve the store."""
    if ranks.rank:
        ranks.wait_for(["end"])
        ranks.store.set(f"end/{ranks.rank}", "")
    else:
        ranks.store.set("end", "")
        ranks.wait_for(["end", *(f"end/{rank}" for rank in range(1, ranks.world))])


def _store(trainer: "Trainer", folder: Path) -> Any:
    """Where the ranks meet: a file, on several nodes the first one's address."""
    from torch import distributed

    if trainer.num_nodes == 1:
        return distributed.FileStore(str(folder / "store"), trainer.world_size)
    address, port = meeting_point()
    return distributed.TCPStore(address, port, trainer.world_size, trainer.global_rank == 0, PATIENCE)


def meeting_point() -> tuple[str, int]:
    """MASTER_ADDR and MASTER_PORT; within SLURM, without them, the first node and a port of the job's."""
    from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment

    if "SLURM_NODEID" not in os.environ:
        cluster = LightningEnvironment()
        return cluster.main_address, cluster.main_port
    # its constructor refuses allocations without --ntasks-per-node
    first = SLURMEnvironment.resolve_root_node_address(os.environ.get("SLURM_NODELIST", "127.0.0.1"))
    port = 15000 + int(os.environ.get("SLURM_JOB_ID", "0")[-4:])
    return os.environ.get("MASTER_ADDR", first), int(os.environ.get("MASTER_PORT", port))
