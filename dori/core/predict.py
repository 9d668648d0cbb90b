"""Long work in chunks through Lightning's ``Trainer.predict``.

Accelerator, devices, strategy and precision come from the ``trainer`` group, for attacks as for
sampling. Chunks are dealt to ranks by index: a padding sampler would repeat some.

On a CPU several chunks go on at once, a thread each: the kernels of a small network gain little from
more threads within one call.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lightning
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from dori.core import progress
from dori.core.files import save_tensors
from dori.core.ranks import process_group, world
from dori.core.stopping import CHUNKS, Stopped, is_kept, listen_again

log = logging.getLogger(__name__)
Work = Callable[[Any], None]
R = TypeVar("R")
AT_ONCE = 4  # chunks on a CPU, at most: each holds activations of its own


class ChunkData(lightning.LightningDataModule):
    """A rank's share of the chunks: every ``world_size``-th, ``together`` of them in a batch."""

    def __init__(self, chunks: Any, together: int = 1):
        super().__init__()
        self.chunks, self.together = chunks, together
        self.allow_zero_length_dataloader_with_multiple_devices = True  # more ranks than chunks

    def predict_dataloader(self) -> DataLoader:
        trainer = self.trainer
        assert trainer is not None
        mine = self.chunks[trainer.global_rank :: trainer.world_size]
        return DataLoader(mine, batch_size=self.together, collate_fn=list)


class ChunkModule(lightning.LightningModule):
    """Does ``work`` on the chunks of a batch at once, with ``networks`` on the trainer's device."""

    def __init__(self, networks: list[nn.Module], work: Work):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.work = work

    def predict_step(self, batch: list, batch_idx: int) -> int:
        side_by_side(self.work, batch, len(batch))
        return batch_idx  # Lightning warns of None


def at_once(alone: bool = False) -> int:
    """How many chunks this process works on at a time.

    ``alone``: the work needs more to itself than the weights: it hooks layers, or is under autocast, which
    holds in one thread.
    """
    return 1 if alone or torch.accelerator.is_available() else min(AT_ONCE, torch.get_num_threads())


def side_by_side(work: Callable[[Any], R], chunks: list, most: int) -> list[R]:
    """``work(chunk)`` for all chunks, up to ``most`` at a time, which share the threads that there are."""
    threads, workers = torch.get_num_threads(), min(most, len(chunks))
    if workers <= 1:
        return [work(chunk) for chunk in chunks]

    def begin() -> None:
        torch.set_num_threads(max(1, threads // workers))
        torch.set_grad_enabled(False)  # as in the thread that Lightning works in

    pool, ends = ThreadPoolExecutor(workers, CHUNKS, begin), True
    try:
        return list(pool.map(work, chunks))  # raises what a chunk raised
    except Stopped:
        ends = is_kept()  # else for hours, perhaps
        raise
    finally:
        pool.shutdown(wait=ends, cancel_futures=True)
        torch.set_num_threads(threads)


class Stoppable(lightning.Callback):
    """A signal ends the process although Lightning listens to it, too."""

    def on_predict_start(self, *arguments: Any) -> None:
        listen_again()

    def on_fit_start(self, *arguments: Any) -> None:
        listen_again()


@dataclass(frozen=True)
class Predictor:
    """Makes a trainer for each stage; ``make`` is the ``trainer`` group as a partial.

    ``save_every``: seconds after which a chunk that takes longer keeps how far it has come.
    """

    make: partial[lightning.Trainer]
    label: str = ""
    save_every: float = 300

    def at_once(self, hooked: bool) -> int:
        """How many chunks go on at a time; ``hooked``: they hook layers of the networks."""
        return at_once(hooked or "mixed" in str(self.make.keywords.get("precision")))

    def chunks(self, items: list, size: int, hooked: bool = False) -> list[list]:
        """The items in chunks of at most ``size``, of fewer where some ranks or threads would get nothing."""
        size = max(1, min(size, -(-len(items) // (world() * self.at_once(hooked)))))
        return [items[i : i + size] for i in range(0, len(items), size)]

    def run(self, networks: list[nn.Module], work: Work, chunks: list, hooked: bool = False) -> None:
        """``work(chunk)`` for every chunk; each is done by one process. All are done when it returns."""
        trainer = self.make(callbacks=[Stoppable()], enable_progress_bar=False)
        if trainer.is_global_zero and len(chunks) < trainer.world_size:
            idle = trainer.world_size - len(chunks)
            log.warning(
                "%s: %d ranks for %d chunks, %d idle", self.label, trainer.world_size, len(chunks), idle
            )
        with process_group():
            data = ChunkData(chunks, self.at_once(hooked))
            own = len(chunks[trainer.global_rank :: trainer.world_size])
            module = ChunkModule(networks, progress.counted(work, own))
            trainer.predict(module, data, return_predictions=False)

    @contextmanager
    def placed(self, networks: list[nn.Module]) -> Iterator[None]:
        """The networks on this process's device, for work that is not in chunks."""
        device = self.make().strategy.root_device
        try:
            for network in networks:
                network.to(device)
            yield
        finally:
            for network in networks:
                network.cpu()


def gather(folder: Path, name: str) -> None:
    """One ``<name>.safetensors`` of all ``part-*`` files in a folder, in their order."""
    paths = sorted(folder.glob("part-*.safetensors"))
    parts = [load_file(path) for path in paths]
    merged = {key: torch.cat([part[key] for part in parts]) for key in (parts[0] if parts else {})}
    save_tensors(merged, folder / f"{name}.safetensors")
    for path in paths:
        path.unlink()
