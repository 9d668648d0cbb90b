"""The model under test behind a defense, whether that trains it or stands before its sampler."""

from dataclasses import replace

from dori.core.fingerprints import identity
from dori.defenses import Finetuning
from dori.diffusion.guard import Guard
from dori.steps.run import Run
from dori.steps.subjects import Subject
from dori.steps.train import train


def defend(run: Run, defense: Finetuning | Guard, start: Subject) -> Subject:
    """``start`` as ``defense`` leaves it: trained further, or with a mitigation in its sampler."""
    name = run.cfg.defense.name
    whole = name if start.mask is None else f"{start.name}_{name}"
    if isinstance(defense, Finetuning):
        return train(run, defense, start, whole)
    diffusion = start.diffusion.guarded(defense)
    told, guard = start.settings | run.told("defense"), identity(run.cfg.defense)
    return replace(start, name=whole, diffusion=diffusion, defense=name, settings=told, guard=guard)
