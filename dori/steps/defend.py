"""The model under test behind a defense: trained, with other weights, or with a guard of its sampler."""

from dataclasses import replace
from pathlib import Path

from dori.core.entries import Info
from dori.core.parts import Part
from dori.defenses import Finetuning, Weights
from dori.steps.run import Run
from dori.steps.soundness import check_model
from dori.steps.subjects import Subject
from dori.steps.train import train


def defend(run: Run, subject: Subject) -> Subject:
    """``subject`` as the job's defense leaves it."""
    defense = run.defense
    assert defense is not None
    name = defense.name if subject.mask is None else f"{subject.name}_{defense.name}"
    if isinstance(defense.made, Finetuning):
        return train(run, subject, Part(defense.made, defense.node, defense.where), name)
    if isinstance(defense.made, Weights):
        return _weighed(run, subject, Part(defense.made, defense.node, defense.where), name)
    return replace(
        subject, name=name, diffusion=subject.diffusion.guarded(defense.made), defense=defense.name,
        settings=subject.settings | defense.settings, guard=defense.identity,
    )  # fmt: skip


def _weighed(run: Run, subject: Subject, part: Part[Weights], name: str) -> Subject:
    """With somebody's own weights; those in a file are laid over the model's own, as a stage."""
    made, model, result = part.made, subject.diffusion, None
    if made.folder is not None:
        model = model.with_denoiser(made.folder)
    else:
        inputs = {"model": model.identity, "defense": part.identity}

        def compute(folder: Path) -> Info:
            return {"denoiser_evaluations": 0, **made.write(subject.diffusion, folder)}

        result = run.stages.run("weights", inputs, compute, f"weights: {name}")
        model = model.with_denoiser(result.folder) if result.made else model
    if result is None or result.made:
        check_model(run.stages, model, name)
    settings = subject.settings | part.settings
    return replace(subject, name=name, diffusion=model, defense=part.name, made=result, settings=settings)
