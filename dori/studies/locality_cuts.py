"""Pruned by k of an image's triggers: do its other triggers still replicate?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dori.config import identity
from dori.locality import overlap
from dori.locality.cuts import as_many, left, ordered
from dori.locality.members import ORDINARY, TRIGGER, Members, of_kind, units
from dori.metrics.fid import fid
from dori.metrics.intervals import Estimate, estimate
from dori.pruning import masks, random
from dori.pruning.layers import layers_of
from dori.pruning.masks import Mask
from dori.pruning.selection import Keep, Selection
from dori.studies.features import describe, reference_of
from dori.studies.locality_triggers import Found, captions, identities, replicating, study_row
from dori.studies.rows import Row
from dori.studies.run import Run
from dori.studies.subjects import Subject

OWN, OTHERS, USUAL, CHANCE = "own triggers", "other images' triggers", "ordinary prompts", "random weights"
NONE = "no pruning"


def cut_rows(
    run: Run, name: str, selection: overlap.Packed, members: Members, found: Found, cuts: Sequence[int]
) -> list[Row]:
    """The curve: masks of k of an image's own triggers, of equal count from others, and at random.

    The pictures are drawn on noise of their own: k = 0 is what triggers give without pruning. Ordinary
    captions are dealt to the images' masks, so that the FID is that of models pruned for one image.
    """
    model, seed = run.diffusion, run.cfg.seed
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, size in overlap.layers(selection).items():
        weight = layers_of(model.unet, [layer])[layer].weight
        shapes[layer] = tuple(weight.shape) if size == weight.numel() else tuple(weight.shape[:1])

    def mask(place: int) -> Mask:
        return overlap.unpacked(selection, place, shapes)

    groups = units(members, TRIGGER)
    images = [members[group[0]].unit for group in groups]
    orders = [ordered(len(group), seed, image) for group, image in zip(groups, images, strict=True)]
    usual = of_kind(members, ORDINARY)

    def cut(what: str, image: int, k: int) -> Mask:
        own = masks.union(*(mask(groups[image][place]) for place in orders[image][:k]))
        if what == CHANCE:
            return random.like(own, seed, images[image], str(k))
        if what == USUAL:
            return as_many((mask(place) for place in usual), own, seed)
        if what == OTHERS:
            turned = [*range(image + 1, len(groups)), *range(image)]
            there = ((i, orders[i][place]) for place in range(max(map(len, orders))) for i in turned
                     if place < len(orders[i]))  # fmt: skip
            return as_many((mask(groups[i][place]) for i, place in there), own, seed)
        return own

    targets = [members[i].target for group in groups for i in group]
    owners = [members[i].unit for group in groups for i in group]
    metrics: dict[str, dict[str, Estimate]] = {NONE: {}}
    drawn = replicating(run, run.original, targets, owners, found.originals)
    metrics[NONE] |= _figures(run, 0, _split(drawn, groups), orders, run.original, [])
    for what in (OWN, OTHERS, USUAL, CHANCE):
        metrics[what] = {}
        for k in cuts:
            chosen = [cut(what, image, k) for image in range(len(groups))]
            subject = _subject(run, f"{name}: {what}, k = {k}", chosen, images, members)
            drawn = replicating(run, subject, targets, owners, found.originals)
            metrics[what] |= _figures(run, k, _split(drawn, groups), orders, subject, chosen)
    of = [identity(run.cfg.study.methods[name]), identities(members)]
    return [study_row(run, f"{name}: {what}", "cuts", figures, of) for what, figures in metrics.items()]


def _subject(run: Run, label: str, chosen: list[Mask], images: list[str], members: Members) -> Subject:
    """The model with each image's mask for its triggers, and for its share of the ordinary captions."""
    own = {image: place for place, image in enumerate(images)}
    own |= {m.target.name: images.index(m.unit) for m in members if m.kind == TRIGGER and m.unit in own}
    own |= {target.name: i % len(images) for i, target in enumerate(captions(run))}

    def select(_keep: Keep) -> Selection:
        return Selection(chosen)

    recipe: dict[str, Any] = {"cut": label, "masks": [masks.digest(mask) for mask in chosen], "own": own}
    return Subject(label, run.diffusion, run.find_mask(select, label, recipe, own))


def _split(drawn: np.ndarray, groups: list[np.ndarray]) -> list[np.ndarray]:
    return np.split(drawn, np.cumsum([len(group) for group in groups])[:-1])


def _figures(
    run: Run, k: int, drawn: list[np.ndarray], orders: list[list[int]], subject: Subject, chosen: list[Mask]
) -> dict[str, Estimate]:
    others, used = left(drawn, orders, k)
    found = {f"Left/{k}": others, f"FID/{k}": _fid(run, subject)}
    if chosen:
        sizes = [masks.count(mask) for mask in chosen]
        found |= {
            f"Used/{k}": used,
            f"Weights/{k}": estimate(float(np.mean(sizes)), np.nan, np.nan, len(sizes)),
        }
    return found


def _fid(run: Run, subject: Subject) -> Estimate:
    """On the ordinary captions, where they have pictures and there are enough of them."""
    reference = reference_of(run)
    if reference is None or len(reference) <= reference.shape[1]:
        return estimate(np.nan, np.nan, np.nan, 0)
    drawn = run.draw(subject, captions(run), seeds=1)
    groups = 20 if reference.shape[1] <= 256 else 0
    return fid(describe(run, drawn)["quality"][:, 0], reference, groups)
