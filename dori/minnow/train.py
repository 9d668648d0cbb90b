"""Minnow's recipe as one command: ``python -m dori.minnow.train [part ...] [--work DIR]``.

Parts, in order: code, decoder, encoder, clip, lesson, student, refinement, ruler, pretraining, memorized,
twin, export. Each leaves its result in the work folder and is skipped where that is there; a killed one goes
on from its last checkpoint. Parts that do not need each other may run as processes of their own.
"""

import argparse
import time
from pathlib import Path

import torch
import yaml

from dori.minnow.export import WEIGHTS
from dori.minnow.machine import Machine, TimeUp
from dori.minnow.recipe import Recipe

RECIPE = Path(__file__).with_name("recipe.yaml")
PARTS = (
    "code", "decoder", "encoder", "clip", "lesson", "student", "refinement", "ruler", "pretraining",
    "memorized", "twin", "export",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dori.minnow.train", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--work", type=Path, default=Path("runs/minnow"), help="checkpoints and results")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="of the export; what was there is replaced")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--set", action="append", default=[], metavar="PART.KEY=VALUE", help="of the recipe")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--half", action="store_true", help="bfloat16 on CUDA")
    parser.add_argument("--seconds", type=float, help="stop after so many, to go on later")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; one per process is fastest")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("high")  # TF32 on CUDA
    deadline = None if given.seconds is None else time.time() + given.seconds
    recipe = Recipe(
        settings(given.set, given.recipe), given.work, given.out, Machine(given.device, deadline, given.half)
    )
    for part in given.part or PARTS:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
        try:
            getattr(recipe, part)()
        except TimeUp as stopped:
            print(stopped)
            return


def settings(changes: list[str], path: Path = RECIPE) -> dict:
    """The recipe with each ``part.key=value`` changed, the value as in YAML."""
    recipe = yaml.safe_load(path.read_text())
    for change in changes:
        dotted, _, value = change.partition("=")
        *parents, key = dotted.split(".")
        node = recipe
        for parent in parents:
            node = node.get(parent, {})
        if key not in node:
            raise SystemExit(f"--set {change}: the recipe has no {dotted}")
        node[key] = yaml.safe_load(value)
    return recipe


if __name__ == "__main__":
    main()
