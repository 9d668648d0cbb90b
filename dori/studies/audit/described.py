"""Descriptors of pictures, as a copy detector sees them: the stage, and what it found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.core.fingerprints import fingerprint
from dori.core.predict import Predictor
from dori.data import Target
from dori.data.targets import Ordinary

if TYPE_CHECKING:
    from dori.core.stages import Info, Result
    from dori.steps.run import Run


def originals(run: "Run", targets: list[Target], what: str) -> "Result | None":
    """The stage of the descriptors of the targets' own pictures, read as they are needed."""
    identity = fingerprint([target.identity[-1] for target in targets])
    return measured(run, [target.image for target in targets], identity, what)


def measured(run: "Run", pictures: Sequence[Any], identity: str, what: str) -> "Result | None":
    """The stage of the pictures' descriptors; none without pictures."""
    if not pictures:
        return None
    label = f"measure: {what}"

    def compute(folder: Path) -> "Info":
        ordinary, predictor = Ordinary([], list(pictures)), Predictor(run.trainer, label)
        run.evaluation.made.describe_reference(ordinary, folder, predictor, "sscd")
        return {"ruler": run.evaluation.made.networks["sscd"].name}

    inputs = {"pictures": identity, "evaluation": run.evaluation.identity}
    return run.stages.run("descriptors", inputs, compute, label, by_all=True)


def read(result: "Result | None") -> Tensor:
    """Descriptors (n, d), unit vectors."""
    if result is None:
        return torch.zeros(0, 1)
    found = load_file(result.folder / "features.safetensors")["sscd"].float()
    return torch.nn.functional.normalize(found, dim=1)
