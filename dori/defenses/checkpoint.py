"""``last.ckpt``: Lightning's checkpoint, replaced whole, from which a killed training goes on."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from dori.defenses.history import best
from dori.defenses.module import FinetuningModule
from dori.errors import InputError
from dori.files import replace_file, save_tensors

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


class Last(Checkpoint):
    """Saves after every so many batches and at the end of each epoch; the old file stays until then.

    ``recipe`` says what the training depends on.
    """

    def __init__(self, path: Path, every: int, recipe: Recipe):
        self.path, self.every, self.recipe = path, every, recipe

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict) -> None:
        checkpoint["recipe"] = self.recipe

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # the last batch of an epoch is saved with what follows it
        if (batch_idx + 1) % self.every == 0 and not trainer.is_last_batch:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        if trainer.world_size > 1:  # every rank takes part, the first one writes
            trainer.save_checkpoint(self.path)
            return
        try:
            replace_file(self.path, trainer.save_checkpoint)
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror}; what was saved before is whole: make room and"
                " start again"
            ) from error


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
