"""Models under test that are pruned: by a method, and the same amount at random."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from dori.core import progress
from dori.core.costs import FREE, Cost
from dori.core.fingerprints import identity
from dori.core.parts import Part
from dori.core.predict import Predictor
from dori.data import MEMORIZED, Target
from dori.pruning import Mask, Method, masks
from dori.pruning.baselines import random
from dori.pruning.selection import Keep, Selection, cost_of
from dori.steps.subjects import Subject

if TYPE_CHECKING:
    from dori.core.stages import Result
    from dori.steps.run import Run

RANDOM = "random"  # the setting of the baseline


def prune(
    run: "Run", subject: Subject, method: Part[Method], memorized: list[Target] | None = None
) -> Subject:
    """The model pruned by a method for the memorized targets, or some of them.

    A method that prunes for each prompt on its own does so for the controls' prompts too.
    """
    some = run.data.of(*MEMORIZED) if memorized is None else memorized
    name, each = method.made.name, method.made.per_prompt
    targets = run.data.targets if each and memorized is None else some
    own = {target.name: i for i, target in enumerate(targets)} if each else None
    mask = find(run, subject, method, targets, name, own)
    return Subject(
        name, subject.diffusion, mask, pruning=name, made=mask, settings=method.settings, places=own or {}
    )


def find(
    run: "Run", subject: Subject, method: Part[Method], targets: list[Target], name: str,
    own: dict[str, int] | None = None,
) -> "Result":  # fmt: skip
    """The stage of a method's mask for some targets."""
    recipe = {
        "pruning": method.identity, "targets": [target.identity for target in targets],
        "captions": run.data.captions, "ordinary": run.data.ordinary.identity,
    }  # fmt: skip

    def select(keep: Keep) -> Selection:
        return method.made.select(subject.diffusion, targets, run.data, keep)

    cost = cost_of(method.made, subject.diffusion, len(targets), run.data)
    return find_mask(run, subject, select, name, recipe, own, cost)


def at_random(run: "Run", subject: Subject) -> Subject:
    """The model pruned at random by as many weights in the same layers, target by target."""
    assert subject.mask is not None
    own = subject.places

    def like(_keep: Keep) -> Selection:
        first = {place: name for name, place in reversed(own.items())} if own else {0: None}
        names = [first[place] for place in sorted(first)]
        found = [subject.mask_of(name) or {} for name in names]
        pairs = zip(found, names, strict=True)
        return Selection(
            [random.like(mask, run.diffusion.first_column, run.cfg.seed, n or "") for mask, n in pairs]
        )

    recipe = {"like": subject.mask.fingerprint, "seed": run.cfg.seed}
    mask = find_mask(run, subject, like, RANDOM, recipe, own or None)
    return replace(subject, name=RANDOM, mask=mask, pruning="random", made=mask)


def keep_masks(
    run: "Run", subject: Subject, found: list[Mask], name: str, recipe: dict, own: dict[str, int]
) -> "Result":
    """Masks that were found already, as a stage: it depends on what they select, however they came about."""
    digests = [masks.digest(mask) for mask in found]
    recipe = {**recipe, "masks": digests}
    return find_mask(run, subject, lambda _keep: Selection(found), name, recipe, own)


def find_mask(
    run: "Run", subject: Subject, select: Callable[[Keep], Selection], name: str, recipe: dict,
    own: dict[str, int] | None = None, cost: Cost = FREE,
) -> "Result":  # fmt: skip
    """What a method selects, as a stage: ``mask.safetensors``, the one of all targets.

    Where targets have masks of their own, ``own`` says by name which of ``mask-00000`` and so on
    is whose, and ``mask`` is the union of those of the memorized targets.
    """
    memorized = [target.name for target in run.data.of(*MEMORIZED)]
    inputs = {**_model(run, subject), "recipe": recipe, "own": own, "memorized": memorized if own else None}
    keep = keeper(run, subject)

    def compute(folder: Path) -> dict:
        diffusion = subject.diffusion
        with Predictor(run.trainer, name).placed(diffusion.networks), _told(diffusion.denoiser, cost.forward):
            selection = select(keep)
        parts = [{layer: part.cpu() for layer, part in mask.items()} for mask in selection.masks]
        if own:
            for place, mask in enumerate(parts):
                masks.save(mask, folder / f"mask-{place:05d}.safetensors", recipe)
            parts = [parts[place] for place in sorted({own[name] for name in memorized if name in own})]
        whole = masks.union(*parts)
        masks.save(whole, folder / "mask.safetensors", recipe)
        return {
            "denoiser_evaluations": selection.evaluations, "pruned": masks.count(whole),
            "weights": sum(part.numel() for part in whole.values()), "facts": selection.facts,
            "targets": own or {},
        }  # fmt: skip

    return run.stages.run("mask", inputs, compute, f"mask: {name}", cost=cost)


@contextmanager
def _told(denoiser: nn.Module, samples: float) -> Iterator[None]:
    """Within, each sample through the denoiser, of ``samples`` in all, is told as progress."""
    done = 0

    def count(_: nn.Module, given: tuple, named: dict[str, Any]) -> None:
        nonlocal done
        done += len(next(iter([*given, *named.values()])))
        progress.advance(min(1.0, done / samples))

    hook = denoiser.register_forward_pre_hook(count, with_kwargs=True) if samples else None
    try:
        yield
    finally:
        if hook:
            hook.remove()


def keeper(run: "Run", subject: Subject) -> Keep:
    """Keeps what a pruning method finds on the way as stages; what counts nothing is no line of the job's."""

    def keep(name: str, inputs: dict, compute: Callable[[Path], dict]) -> Path:
        result = run.stages.run(name, {**_model(run, subject), **inputs}, compute, name.replace("_", " "))
        if not result.info:
            run.stages.results.remove(result)
        return result.folder

    return keep


def _model(run: "Run", subject: Subject) -> dict[str, Any]:
    model = run.cfg.model
    compared = {key: identity(model[key]) for key in ("noise_similarity", "noise_timestep") if key in model}
    return {"model": subject.diffusion.identity, **compared}
