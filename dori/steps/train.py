"""The model that a defense has trained: screening -> surrogates -> training, each a stage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dori.core.parts import Part
from dori.data import Target
from dori.defenses import Finetuning
from dori.defenses.training.fit import fit
from dori.pruning import pruned
from dori.steps.draw import draw
from dori.steps.material import material_of
from dori.steps.measuring.features import describe, originals_of, similarities
from dori.steps.prune import prune
from dori.steps.screening import screen
from dori.steps.subjects import Pictures, Subject

if TYPE_CHECKING:
    from dori.core.stages import Info
    from dori.steps.run import Run


def train(run: "Run", subject: Subject, part: Part[Finetuning], name: str) -> Subject:
    """The model that a defense trains from the weights of ``subject``, masked weights and all.

    Raises:
        InputError: no target or surrogate to train on, or a memorized image among ordinary pictures.
    """
    defense = part.made
    targets = defense.trained(run.data)
    screen(run, defense)
    pictures = surrogates_of(run, defense, targets) if defense.uses_surrogates else None
    kept = replaceable(run, defense, pictures) if pictures and pictures.result.made else {}
    label = f"training: {name}"
    recipe = inputs_of(run, subject, part, targets, pictures, kept)

    def compute(folder: Path) -> "Info":
        trainee = run.diffusion.fresh()
        with pruned(trainee.denoiser, subject.mask_of()):
            material = material_of(run, defense, trainee, targets, pictures, kept)
            evaluation = run.evaluation.made

            def measure(epoch: int) -> dict[str, float]:
                for network in evaluation.networks.values():
                    network.to(trainee.device)
                similarity, threshold = evaluation.similarity, evaluation.threshold
                return defense.validation.measure(material, similarity, threshold, folder, epoch)

            info = fit(defense, material, measure, run.trainer, folder, recipe, label)
        first = subject.evaluations
        if pictures:
            first += pictures.result.info["denoiser_evaluations"] + pictures.subject.evaluations
        return {**info, "denoiser_evaluations": info["denoiser_evaluations"] + first}

    result = run.stages.run(
        "training", recipe, compute, label, by_all=True, cost=defense.cost(run.diffusion, run.data)
    )
    diffusion = run.diffusion.with_denoiser(result.folder) if result.made else run.diffusion
    told = subject.settings | part.settings
    return Subject(name, diffusion, pruning=subject.pruning, defense=defense.name, made=result, settings=told)


def surrogates_of(run: "Run", defense: Finetuning, targets: list[Target]) -> Pictures:
    """Images of the targets' prompts by the pruned model, as many as the defense wants."""
    wanted = defense.surrogates
    method = Part.at(run.cfg, "defense.surrogates.pruning", wanted.pruning)
    model = prune(run, run.original, method, targets)
    return draw(run, model, targets, seeds=wanted.images)


def replaceable(run: "Run", defense: Finetuning, pictures: Pictures) -> dict[str, list[int]]:
    """The surrogates of each target that are no copies of it."""
    everyone = run.data.targets
    features, originals = describe(run, pictures), originals_of(run, everyone)
    similar = similarities(features, originals, pictures.targets, everyone)["orig"]
    return defense.surrogates.keep(similar, pictures.targets)


def inputs_of(
    run: "Run", subject: Subject, part: Part[Finetuning], targets: list[Target], pictures: Pictures | None,
    kept: dict[str, list[int]],
) -> dict[str, Any]:  # fmt: skip
    """What the training depends on."""
    training = run.data.training
    assert training is not None
    return {
        **subject.inputs, "defense": part.identity, "targets": [t.identity for t in targets],
        "surrogates": pictures.result.fingerprint if pictures else None, "kept": kept,
        "training": training.identity, "captions": run.data.captions,
        "evaluation": run.evaluation.identity, "seed": run.cfg.seed,
        "sampling_steps": run.diffusion.sampling_steps, "guidance": run.diffusion.guidance,
        "loss_weight_cap": run.diffusion.loss_weight_cap,
    }  # fmt: skip
