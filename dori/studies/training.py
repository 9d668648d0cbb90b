"""The model that a defense has trained: screening -> surrogates -> training, each a stage."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.config import identity
from dori.data import MEMORIZED, Target
from dori.data.targets import tensor
from dori.defenses import Finetuning
from dori.defenses.fit import fit
from dori.defenses.material import Material, encode
from dori.diffusion import StableDiffusion
from dori.diffusion.images import load
from dori.errors import InputError
from dori.metrics.sscd_orig import sscd_orig
from dori.pruning import pruned
from dori.stages import Info
from dori.studies.drawing import SAMPLING
from dori.studies.features import CODE as MEASURING
from dori.studies.features import describe, originals_of, similarities
from dori.studies.pruning import prune
from dori.studies.run import Run
from dori.studies.subjects import Pictures, Subject

CODE = ["defenses", "attacks", "data/targets.py", *SAMPLING, *MEASURING]
SPEED = ("save_every", "micro_batch")  # of a defense: what makes no difference to what comes out

log = logging.getLogger(__name__)


def train(run: Run, defense: Finetuning, start: Subject, name: str) -> Subject:
    """The model that ``defense`` trains from the weights of ``start``, masked weights and all.

    Raises:
        InputError: no target or surrogate to train on, or a memorized image among ordinary pictures.
    """
    targets = defense.trained(run.data)
    screen(run, defense)
    pictures = surrogates_of(run, defense, targets) if defense.uses_surrogates else None
    kept = replaceable(run, defense, pictures) if pictures else {}
    label = f"training: {name}"
    recipe = inputs_of(run, defense, start, targets, pictures, kept)

    def compute(folder: Path) -> Info:
        trainee = run.diffusion.with_unet(run.diffusion.unet_folder)
        with pruned(trainee.unet, start.mask_of()):
            material = material_of(run, defense, trainee, targets, pictures, kept)
            evaluation = run.evaluation

            def measure(epoch: int) -> dict[str, float]:
                for network in evaluation.networks.values():
                    network.to(trainee.device)
                similarity, threshold = evaluation.similarity, evaluation.threshold
                return defense.validation.measure(material, similarity, threshold, folder, epoch)

            info = fit(defense, material, measure, run.trainer, folder, recipe, label)
        first = start.evaluations
        if pictures:
            first += pictures.result.info["unet_evaluations"] + pictures.subject.evaluations
        return {**info, "unet_evaluations": info["unet_evaluations"] + first}

    result = run.stages.run("training", recipe, CODE, compute, label, by_all=True)
    diffusion = run.diffusion.with_unet(result.folder)
    return Subject(
        name, diffusion, pruning=start.pruning, defense=defense.name, made=result, ratio=start.ratio
    )


def surrogates_of(run: Run, defense: Finetuning, targets: list[Target]) -> Pictures:
    """Images of the targets' prompts by the pruned model, as many as the defense wants."""
    wanted = defense.surrogates
    cfg = run.cfg.defense.surrogates.pruning
    return run.draw(prune(run, wanted.pruning, cfg, targets), targets, seeds=wanted.images)


def replaceable(run: Run, defense: Finetuning, pictures: Pictures) -> dict[str, list[int]]:
    """The surrogates of each target that are no copies of it."""
    everyone = run.data.targets
    features, originals = describe(run, pictures), originals_of(run, everyone)
    similar = similarities(features, originals, pictures.targets, everyone)["orig"]
    return defense.surrogates.keep(similar, pictures.targets)


def screen(run: Run, defense: Finetuning) -> None:
    """Raises InputError where a memorized image is among the pictures to train on."""
    training, label = run.data.training, "screening of the training pictures"
    assert training is not None
    inputs = {"pictures": training.identity, "evaluation": run.evaluation_identity}

    def compute(folder: Path) -> Info:
        run.evaluation.describe_reference(training.pairs(), folder, run.predictor(label), "sscd")
        return {}

    result = run.stages.run("screening", inputs, MEASURING, compute, label, by_all=True)
    descriptors = load_file(result.folder / "features.safetensors")["sscd"]
    originals = originals_of(run, run.data.targets)
    families = torch.split(originals["sscd"], originals["count"].int().tolist())
    memorized = [f for f, t in zip(families, run.data.targets, strict=True) if t.kind in MEMORIZED]
    similar = sscd_orig(descriptors[None], [torch.cat(memorized)])[0]
    found = (similar > run.evaluation.threshold).nonzero()[:, 0].tolist()
    if not found:
        return
    told = (
        f"{len(found)} of {len(similar)} pictures to train on are copies of a memorized image (SSCD above"
        f" {run.evaluation.threshold}), the first at place {found[0]}"
    )
    if not defense.allow_memorized:
        raise InputError(f"{told}: take them out of data.training, or set defense.allow_memorized=true")
    log.warning("%s", told)


def material_of(
    run: Run, defense: Finetuning, diffusion: StableDiffusion, targets: list[Target],
    pictures: Pictures | None, kept: dict[str, list[int]],
) -> Material:  # fmt: skip
    """What the training looks at, encoded."""
    training, held = run.data.training, defense.validation.ordinary
    assert training is not None
    pairs = training.pairs()
    places = [(t.name, i, j) for i, t in enumerate(targets) for j in kept.get(t.name, [])]

    def ordinary(chunk: list[int]) -> Tensor:
        return pairs.tensor(diffusion.resolution, chunk[0], chunk[-1] + 1)

    def original(chunk: list[int]) -> Tensor:
        return tensor([targets[i].pixels() for i in chunk], diffusion.resolution)

    def surrogate(chunk: list[int]) -> Tensor:
        assert pictures is not None
        some = (places[k] for k in chunk)
        return torch.stack([load(pictures.result.folder, i, pictures.seeds)[j] for _, i, j in some])

    latents = encoded(run, "training pictures", training.identity, ordinary, training.count)
    names, identities = [t.name for t in targets], [t.identity for t in targets]
    first = encoded(run, "memorized pictures", identities, original, len(targets)).split(1)
    own: dict[str, Tensor] = {}
    if pictures:
        of = [pictures.result.fingerprint, [list(place) for place in places]]
        drawn = encoded(run, "surrogates", of, surrogate, len(places))
        own = {t: drawn[[k for k, (name, _, _) in enumerate(places) if name == t]] for t in names}
    return Material(
        diffusion, run.diffusion, run.data, targets, dict(zip(names, first, strict=True)), own,
        pairs.captions[:-held], latents[:-held], pairs.captions[-held:], latents[-held:],
    )  # fmt: skip


def encoded(run: Run, what: str, of: Any, images: Callable[[list[int]], Tensor], count: int) -> Tensor:
    """The stage of some pictures' latents (count, c, h, w)."""
    inputs, label = {"model": run.diffusion.fingerprint, "of": of}, f"latents: {what}"

    def compute(folder: Path) -> Info:
        encode(run.diffusion, images, count, folder, run.predictor(label))
        return {}

    code = [*SAMPLING, "defenses/material.py"]
    result = run.stages.run("latents", inputs, code, compute, label, by_all=True)
    return load_file(result.folder / "latents.safetensors")["latents"]


def inputs_of(
    run: Run, defense: Finetuning, start: Subject, targets: list[Target], pictures: Pictures | None,
    kept: dict[str, list[int]],
) -> dict[str, Any]:  # fmt: skip
    """What the training depends on."""
    settings = identity(run.cfg.defense)
    for key in SPEED:
        del settings[key]
    for attack in (settings["attack"], settings["validation"]["attack"]):
        if attack:
            del attack["batch"]
    training = run.data.training
    assert training is not None
    return {
        **start.inputs, "defense": settings, "targets": [t.identity for t in targets],
        "surrogates": pictures.result.fingerprint if pictures else None, "kept": kept,
        "training": training.identity, "captions": run.data.captions,
        "evaluation": run.evaluation_identity, "seed": run.cfg.seed,
        "sampling_steps": run.diffusion.sampling_steps, "guidance": run.diffusion.guidance,
        "loss_weight_cap": run.diffusion.loss_weight_cap,
    }  # fmt: skip
