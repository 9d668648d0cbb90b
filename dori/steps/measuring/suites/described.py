"""What the networks of a suite see in pictures, kept so that rows are a matter of arithmetic."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.core.files import save_tensors
from dori.core.fingerprints import digest_file
from dori.core.parts import Part
from dori.core.predict import Predictor, gather
from dori.core.ranks import once
from dori.data.pictures import read_picture
from dori.data.targets import tensor
from dori.diffusion.images import is_blank, load
from dori.steps.measuring.suites.suite import Scores

if TYPE_CHECKING:
    from dori.steps.run import Run
    from dori.steps.subjects import Pictures

Described = Callable[[list[int]], Scores]  # of the prompts, or pictures, at these places


def described(run: "Run", suite: Part[Any], pictures: "Pictures") -> Scores:
    """Of a setting's pictures, as a stage: what ``describe`` gives, and ``blank``, (prompts, images) each."""
    inputs = {
        "images": pictures.result.fingerprint, "suite": suite.identity, "texts": pictures.texts,
        "seeds": pictures.seeds,
    }  # fmt: skip

    def some(places: list[int]) -> Scores:
        images = torch.cat([load(pictures.result.folder, place, pictures.seeds) for place in places])
        texts = [pictures.texts[place] for place in places for _ in range(pictures.seeds)]
        found = {**suite.made.describe(images, texts), "blank": is_blank(images)}
        return {key: value.unflatten(0, (len(places), pictures.seeds)) for key, value in found.items()}

    label = f"measure: {pictures.kind} of {pictures.setting}"
    size = max(1, suite.made.batch // pictures.seeds)
    return _stage(run, suite, label, inputs, some, len(pictures.texts), size)


def described_files(
    run: "Run", suite: Part[Any], files: list[Path], side: int, describe: Callable[[Tensor], Scores]
) -> Scores:
    """Of real pictures, brought to squares of ``side`` pixels, as a stage: once for all models."""
    inputs = {"pictures": [digest_file(file) for file in files], "suite": suite.identity}

    def some(places: list[int]) -> Scores:
        return describe(tensor([read_picture(files[place]) for place in places], (side, side)))

    label = f"measure: real pictures of {suite.where}"
    return _stage(run, suite, label, inputs, some, len(files), suite.made.batch)


def _stage(
    run: "Run", suite: Part[Any], label: str, inputs: dict[str, Any], some: Described, count: int, size: int
) -> Scores:
    def compute(folder: Path) -> dict[str, Any]:
        chunks = [list(range(i, min(i + size, count))) for i in range(0, count, size)]
        Predictor(run.trainer, label).run(suite.made.networks, partial(_kept, folder, some), chunks)
        once(lambda: gather(folder, "scores"))
        return {}

    result = run.stages.run("quality", inputs, compute, label, by_all=True)
    return load_file(result.folder / "scores.safetensors")


@torch.no_grad()
def _kept(folder: Path, some: Described, places: list[int]) -> None:
    tensors = {key: value.float().cpu().contiguous() for key, value in some(places).items()}
    save_tensors(tensors, folder / f"part-{places[0]:05d}.safetensors")
