"""``last.ckpt``: Lightning's checkpoint, replaced whole, from which a killed training goes on."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from dori.core.errors import InputError
from dori.core.files import replace_file, save_tensors
from dori.core.stopping import Stopped, told
from dori.defenses.training.history import best
from dori.defenses.training.module import FinetuningModule

Recipe = dict[str, Any]


class Best(Checkpoint):
    """Keeps the averaged weights of the epoch whose score is the lowest so far, the first of equals."""

    def __init__(self, path: Path):
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, FinetuningModule)
        newest = module.history[-1]
        looked = newest["epoch"] == trainer.current_epoch + 1
        if looked and best(module.history) is newest and trainer.is_global_zero:
            weights = {key: value.contiguous() for key, value in module.average.module.state_dict().items()}
            save_tensors(weights, self.path)


class Whole(TorchCheckpointIO):
    """Writes beside the old file, then takes its name; Lightning's own goes through the system's /tmp."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        def write(tmp: Path) -> None:
            with tmp.open("wb") as file:  # given a name, torch does not say that the disk is full
                torch.save(checkpoint, file)

        replace_file(Path(path), write)


class Last(Checkpoint):
    """Saves every so many seconds, between two batches, and before the process ends that was told to.

    ``recipe`` says what the training depends on.
    """

    def __init__(self, path: Path, every: float, recipe: Recipe):
        self.path, self.every, self.recipe = path, every, recipe
        self.saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict) -> None:
        checkpoint["recipe"] = self.recipe

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch:  # that one is saved with what follows it
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Where it is time, which the first rank says for all. Raises Stopped, if it was told to end."""
        status = trainer.strategy.broadcast(told())
        if status or trainer.strategy.broadcast(time.monotonic() - self.saved >= self.every):
            trainer.save_checkpoint(self.path)
            self.saved = time.monotonic()
        if status:
            raise Stopped(status)


def last_good(path: Path, recipe: Recipe) -> Path | None:
    """The checkpoint to go on from, if there is one.

    Raises:
        InputError: it belongs to another configuration, with the keys that differ.
    """
    if not path.exists():
        return None
    saved = torch.load(path, weights_only=True, map_location="cpu", mmap=True)["recipe"]
    if differing := sorted(different(saved, recipe)):
        raise InputError(
            f"{path} is of another configuration: {', '.join(differing)} differ; remove it to start anew"
        )
    return path


def different(one: Any, other: Any, prefix: str = "") -> list[str]:
    """The dotted keys at which two nested mappings differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [prefix or "all"]
    keys = [*one, *(key for key in other if key not in one)]
    return [
        found
        for key in keys
        for found in different(one.get(key), other.get(key), f"{prefix}.{key}" if prefix else str(key))
    ]
