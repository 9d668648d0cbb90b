"""The model under test behind a defense, whether that trains it or stands before its sampler."""

from dataclasses import replace

from dori.core.parts import Part
from dori.defenses import Finetuning
from dori.steps.run import Run
from dori.steps.subjects import Subject
from dori.steps.train import train


def defend(run: Run, subject: Subject) -> Subject:
    """``subject`` as the job's defense leaves it: trained further, or with a mitigation in its sampler."""
    defense = run.defense
    assert defense is not None
    name = defense.name if subject.mask is None else f"{subject.name}_{defense.name}"
    if isinstance(defense.made, Finetuning):
        return train(run, subject, Part(defense.made, defense.node, defense.where), name)
    return replace(
        subject, name=name, diffusion=subject.diffusion.guarded(defense.made), defense=defense.name,
        settings=subject.settings | defense.settings, guard=defense.identity,
    )  # fmt: skip
