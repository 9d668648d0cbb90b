"""Attacks a tiny model, told to end in the middle of steps and started again: ``python -m ... MODEL FOLDER``.

Prints, last, one JSON list: of each attempt its status, and the calls of the denoiser that it made. The
folders ``killed`` and ``whole`` hold what came out.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import lightning
import torch

from dori.attacks.parts import merge_parts, write_parts
from dori.core.predict import Predictor
from dori.core.stopping import stoppable
from dori.diffusion import StableDiffusion
from tests.attacks.held_out import DATA, TARGETS, attack

KILLS = [2, 5]  # calls after which an attempt is told to end: by SIGTERM, within a step


def attempt(model: str, folder: Path, kill: int | None, threads: int) -> tuple[int, int]:
    """The status of a child that attacks, and its calls of the denoiser."""
    counted = folder.with_name(f"{folder.name}-calls")
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, len(counted.read_bytes())

    counted.write_bytes(b"")

    def count(*arguments: object) -> None:
        with counted.open("ab") as file:
            file.write(b"x")
        if counted.stat().st_size == kill:
            os.kill(os.getpid(), signal.SIGTERM)

    @stoppable
    def work() -> None:
        torch.set_num_threads(threads)
        chosen = attack("dori", "attack.steps=12")
        diffusion = StableDiffusion(model, name="tiny", sampling_steps=2, batch=8)
        diffusion.denoiser.register_forward_pre_hook(count)
        trainer = partial(
            lightning.Trainer, accelerator="cpu", devices=1, inference_mode=False, logger=False,
            enable_progress_bar=False, enable_checkpointing=False,
        )  # fmt: skip
        out = dict.fromkeys(chosen.budgets, folder)
        write_parts(chosen, diffusion, DATA, TARGETS, [0, 1, 2], out, Predictor(trainer, save_every=300))
        merge_parts(folder)

    try:
        work()
        os._exit(0)
    except SystemExit as stopped:
        os._exit(int(stopped.code or 0))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def main(model: str, folder: Path, threads: int) -> list[tuple[int, int]]:
    killed, whole = folder / "killed", folder / "whole"
    killed.mkdir()
    whole.mkdir()
    return [attempt(model, killed, kill, threads) for kill in [*KILLS, None]] + [
        attempt(model, whole, None, threads)
    ]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
