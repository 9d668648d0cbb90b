"""Trains a tiny model, killed at four moments and started again: ``python -m ... <json of folders>``.

Prints, last, one JSON list: how each attempt ended. The folders ``killed`` and ``whole`` hold what
came out.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import lightning
import torch

from dori.defenses.training.fit import fit
from dori.defenses.training.module import FinetuningModule
from dori.diffusion import StableDiffusion
from tests.defenses.conftest import configured, material_of, similarity

KILLS = [2, 3, 5, 7]  # killed after so many updates, before the batch that they belong to is saved


def attempt(model: str, folder: Path, kill: int | None) -> int:
    """The status of a child that trains, killed after so many updates."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        torch.set_num_threads(1)
        update, done = FinetuningModule.update, [0]

        def counted(self: FinetuningModule, step: object) -> None:
            update(self, step)  # type: ignore[arg-type]
            done[0] += 1
            if step.number + 1 == kill:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGKILL)

        FinetuningModule.update = counted  # type: ignore[method-assign,assignment]
        settings = configured("defense.warm_steps=1")
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
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def main(model: str, folder: str) -> list[int]:
    killed, whole = Path(folder) / "killed", Path(folder) / "whole"
    return [*(attempt(model, killed, kill) for kill in KILLS), attempt(model, killed, None),
            attempt(model, whole, None)]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(*json.loads(sys.argv[1]))))
