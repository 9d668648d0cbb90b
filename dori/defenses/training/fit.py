"""``Trainer.fit`` of a defense, in a folder that outlives a killed run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from safetensors.torch import load_file

from dori.core import progress
from dori.core.files import write_atomically
from dori.core.predict import Stoppable
from dori.core.ranks import once, process_group
from dori.core.stopping import keeping
from dori.defenses.training.checkpoint import Best, Last, Recipe, Whole, last_good
from dori.defenses.training.finetuning import Finetuning
from dori.defenses.training.material import Material
from dori.defenses.training.module import FinetuningModule, Measure


class Told(lightning.Callback):
    """Tells how much of the training is done."""

    def on_train_batch_end(self, trainer: lightning.Trainer, *arguments: Any) -> None:
        batch, epochs = int(arguments[-1]) + 1, trainer.max_epochs or 1
        progress.advance((trainer.current_epoch + batch / trainer.num_training_batches) / epochs)


def fit(
    settings: Finetuning, material: Material, measure: Measure, make: partial[lightning.Trainer],
    folder: Path, recipe: Recipe, label: str,
) -> dict[str, Any]:  # fmt: skip
    """Leaves the trained denoiser in ``folder``, in diffusers' format, and how it went; what it counted.

    ``training.json`` is the same after every run, ``timing.json`` is not.

    Checkpoints lie in the folder while it trains; a training that was killed goes on from the last
    and ends with the same weights. Every rank calls it.
    """
    last, best = folder / "last.ckpt", folder / "best.safetensors"
    done, clock = folder / "training.json", folder / "timing.json"
    if not once(done.exists):
        module = FinetuningModule(settings, material, measure)
        trainer = make(
            max_epochs=settings.epochs,
            callbacks=[Stoppable(), Told(), Best(best), Last(last, settings.save_every, recipe)],
            plugins=[*make.keywords.get("plugins", []), Whole()], enable_checkpointing=True,
            logger=False, num_sanity_val_steps=0, enable_progress_bar=False,
        )  # fmt: skip
        with keeping():
            with process_group():
                trainer.fit(module, ckpt_path=last_good(last, recipe), weights_only=True)
            once(lambda: keep(module, folder, best, done, clock))
    once(lambda: discard(last, best))
    # read by one: rank 0 may rename the folder while another has yet to look
    return once(lambda: {**json.loads(done.read_text())["counted"], **json.loads(clock.read_text())})


def discard(*paths: Path) -> None:
    """Remove files of a training that is finished; those that are gone do not matter."""
    for path in paths:
        path.unlink(missing_ok=True)


def keep(module: FinetuningModule, folder: Path, best: Path, done: Path, clock: Path) -> None:
    """What comes out of a training, in the folder."""
    denoiser, settings = module.average.module, module.settings
    if settings.keep == "best":
        denoiser.load_state_dict(load_file(best))
    module.material.diffusion.save_denoiser(denoiser, folder, adapters=settings.lora is not None)
    found = {"history": module.history, "counted": module.evaluations()}
    write_atomically(clock, json.dumps({"training_seconds": module.seconds}))
    write_atomically(done, json.dumps(found, indent=1))
