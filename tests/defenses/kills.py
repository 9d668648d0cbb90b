"""Trains a tiny model, ended at four moments and started again: ``python -m ... <json of folders>``.

Prints, last, one JSON dictionary: of each folder (``killed``, ``told`` to end, ``whole``) how its attempts
ended, and how many updates each made.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import lightning
import torch

from dori.core.stopping import Stopped, listen
from dori.defenses.training.fit import fit
from dori.defenses.training.module import FinetuningModule
from dori.diffusion import StableDiffusion
from tests.defenses.conftest import configured, material_of, similarity

KILLS = [2, 3, 5, 7]  # ended after so many updates, before the batch that they belong to is saved


def attempt(
    model: str, folder: Path, kill: int | None, number: int = signal.SIGKILL, every: float = 0
) -> tuple[int, int]:
    """The status of a child that trains, ended by a signal after so many updates, and how many it made."""
    made = folder.with_name(f"{folder.name}-updates")
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), made.stat().st_size
    made.write_bytes(b"")
    listen()
    try:
        torch.set_num_threads(1)
        update = FinetuningModule.update

        def counted(self: FinetuningModule, step: object) -> None:
            update(self, step)  # type: ignore[arg-type]
            with made.open("ab") as file:
                file.write(b"x")
            if step.number + 1 == kill:  # type: ignore[attr-defined]
                os.kill(os.getpid(), number)

        FinetuningModule.update = counted  # type: ignore[method-assign,assignment]
        settings = configured("defense.warm_steps=1", f"defense.save_every={every}")
        diffusion = StableDiffusion(model, name="tiny", sampling_steps=2, batch=8)
        material = material_of(diffusion)
        trainer = partial(
            lightning.Trainer, accelerator="cpu", devices=1, inference_mode=False, enable_progress_bar=False,
            use_distributed_sampler=False, enable_model_summary=False,
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        measure = partial(settings.validation.measure, material, similarity, 0.5, folder)
        fit(settings, material, measure, trainer, folder, {}, "training")
        os._exit(0)
    except Stopped as stopped:
        os._exit(int(stopped.code or 0))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def main(model: str, folder: str) -> dict[str, list[tuple[int, int]]]:
    ways = {
        "killed": [(kill, signal.SIGKILL, 0) for kill in KILLS],
        "told": [(kill, signal.SIGTERM, 300) for kill in KILLS],
        "whole": [],
    }
    return {
        name: [attempt(model, Path(folder) / name, *end) for end in [*ends, (None,)]]
        for name, ends in ways.items()
    }


if __name__ == "__main__":
    print(json.dumps(main(*json.loads(sys.argv[1]))))
