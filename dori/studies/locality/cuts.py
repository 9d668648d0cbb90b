"""Pruned by k of an image's triggers: do its other triggers still replicate?"""

from collections.abc import Sequence

import numpy as np

from dori.core.fingerprints import identity
from dori.metrics.fid import fid
from dori.metrics.intervals import Estimate, point
from dori.pruning import masks
from dori.pruning.baselines import random
from dori.pruning.masks import Mask
from dori.steps.draw import draw
from dori.steps.measuring.features import describe, reference_of
from dori.steps.measuring.quality import groups_of
from dori.steps.measuring.row import Row
from dori.steps.prune import keep_masks
from dori.steps.run import Run
from dori.steps.subjects import Subject
from dori.studies.locality.analysis import overlap
from dori.studies.locality.analysis.cuts import as_many, left, ordered
from dori.studies.locality.analysis.members import ORDINARY, TRIGGER, Members, of_kind, units
from dori.studies.locality.analysis.shares import Shares
from dori.studies.locality.row import identities, study_row
from dori.studies.locality.triggers import Found, captions, replicating

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
        weight = model.layers([layer])[layer].weight
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
            return random.like(own, model.first_column, seed, images[image], str(k))
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
    before = _split(replicating(run, run.original, targets, owners, found.originals), groups)
    metrics = {NONE: _figures(run, 0, left(before, orders, 0), run.original, [])}
    kept: dict[tuple[str, int], tuple[Shares, Shares]] = {(NONE, k): left(before, orders, k) for k in cuts}
    for what in (OWN, OTHERS, USUAL, CHANCE):
        metrics[what] = {}
        for k in cuts:
            chosen = [cut(what, image, k) for image in range(len(groups))]
            subject = _subject(run, f"{name}: {what}, k = {k}", chosen, images, members)
            drawn = _split(replicating(run, subject, targets, owners, found.originals), groups)
            kept[what, k] = left(drawn, orders, k)
            metrics[what] |= _figures(run, k, kept[what, k], subject, chosen)
    for k in cuts:
        (others, used), (others_before, used_before) = kept[OWN, k], kept[NONE, k]
        metrics[OWN] |= {
            f"Fall/{k}": others_before.above(others),
            f"Used_fall/{k}": used_before.above(used),
            f"Below_others/{k}": kept[OTHERS, k][0].above(others),
        }
    of = [identity(run.cfg.study.methods[name]), identities(members)]
    return [study_row(run, f"{name}: {what}", "cuts", figures, of) for what, figures in metrics.items()]


def _subject(run: Run, label: str, chosen: list[Mask], images: list[str], members: Members) -> Subject:
    """The model with each image's mask for its triggers, and for its share of the ordinary captions."""
    own = {image: place for place, image in enumerate(images)}
    own |= {m.target.name: images.index(m.unit) for m in members if m.kind == TRIGGER and m.unit in own}
    own |= {target.name: i % len(images) for i, target in enumerate(captions(run))}

    mask = keep_masks(run, run.original, chosen, label, {"cut": label}, own)
    return Subject(label, run.diffusion, mask, places=own)


def _split(drawn: np.ndarray, groups: list[np.ndarray]) -> list[np.ndarray]:
    return np.split(drawn, np.cumsum([len(group) for group in groups])[:-1])


def _figures(
    run: Run, k: int, kept: tuple[Shares, Shares], subject: Subject, chosen: list[Mask]
) -> dict[str, Estimate]:
    others, used = kept
    found = {f"Left/{k}": others.over_images(), f"FID/{k}": _fid(run, subject)}
    if chosen:
        sizes = [masks.count(mask) for mask in chosen]
        found |= {
            f"Used/{k}": used.over_images(),
            f"Weights/{k}": point(float(np.mean(sizes)), len(sizes)),
        }
    return found


def _fid(run: Run, subject: Subject) -> Estimate:
    """On the ordinary captions, where they have pictures and there are enough of them."""
    reference, _ = reference_of(run) or (None, "")
    if reference is None or len(reference) <= reference.shape[1]:
        return point(np.nan, 0)
    drawn = draw(run, subject, captions(run), seeds=1)
    return fid(describe(run, drawn)["quality"][:, 0], reference, True, groups_of(reference))
