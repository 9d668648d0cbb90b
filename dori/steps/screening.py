"""No memorized image may be among the pictures that a defense trains on."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from dori.core.errors import InputError
from dori.core.predict import Predictor
from dori.data import MEMORIZED
from dori.metrics.sscd_orig import sscd_orig
from dori.steps.measuring.features import originals_of

if TYPE_CHECKING:
    from dori.core.stages import Info
    from dori.defenses import Finetuning
    from dori.steps.run import Run

log = logging.getLogger(__name__)


def screen(run: "Run", defense: "Finetuning") -> None:
    """Raises InputError where a memorized image is among the pictures to train on."""
    training, label = run.data.training, "screening of the training pictures"
    assert training is not None
    inputs = {"pictures": training.identity, "evaluation": run.evaluation.identity}

    def compute(folder: Path) -> "Info":
        run.evaluation.made.describe_reference(
            training.pairs(), folder, Predictor(run.trainer, label), "sscd"
        )
        return {}

    result = run.stages.run("screening", inputs, compute, label, by_all=True)
    if not result.made:
        return
    descriptors = load_file(result.folder / "features.safetensors")["sscd"]
    originals = originals_of(run, run.data.targets)
    families = torch.split(originals["sscd"], originals["count"].int().tolist())
    memorized = [f for f, t in zip(families, run.data.targets, strict=True) if t.kind in MEMORIZED]
    similar = sscd_orig(descriptors[None], [torch.cat(memorized)])[0]
    found = (similar > run.evaluation.made.threshold).nonzero()[:, 0].tolist()
    if not found:
        return
    told = (
        f"{len(found)} of {len(similar)} pictures to train on are copies of a memorized image (SSCD above"
        f" {run.evaluation.made.threshold}), the first at place {found[0]}"
    )
    if not defense.allow_memorized:
        raise InputError(f"{told}: take them out of data.training, or set defense.allow_memorized=true")
    log.warning("%s", told)
