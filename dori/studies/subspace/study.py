"""Do memorized prompts share a subspace? Masks of disjoint sets of prompts, compared and swapped.

The claims of the seed paper of Wanda pruning (arXiv 2406.18566): different sets of memorized prompts
select the same weights, so that the mask of one set mitigates another.
"""

import numpy as np

from dori.core.errors import InputError, check_positive
from dori.core.parts import Part
from dori.core.randomness import derive
from dori.data import MEMORIZED, Target
from dori.metrics.overlap import overlap, overlap_difference
from dori.pruning import Mask, Method, masks
from dori.pruning.baselines import random
from dori.steps.checks import check_no_defense, check_no_quality, check_one_budget
from dori.steps.draw import draw
from dori.steps.measure import measure
from dori.steps.measuring.row import Row
from dori.steps.outcome import Outcome
from dori.steps.prune import RANDOM, at_random, find, keep_masks
from dori.steps.run import Run
from dori.steps.subjects import Subject
from dori.studies.subspace.finding import findings

__all__ = ["findings", "subspace"]
PAIRS = ("memorized and memorized", "ordinary and ordinary", "memorized and ordinary")


def subspace(run: Run, groups: int = 5) -> Outcome:
    """Overlap of masks of disjoint groups of prompts; masks of two halves swapped -> rows.

    Every memorized prompt is mitigated by the mask of its own half, of the other half, of as many
    ordinary prompts, and by as many weights at random.

    Args:
        groups: into how many the prompts of a kind are divided. Groups share no prompt, so that a jackknife
            over them gives the overlap an interval, and a permutation of them tells the kinds apart.
    """
    check_positive("study.groups", groups)
    check_one_budget(run)
    check_no_defense(run, "subspace")
    check_no_quality(run, "subspace")
    method, memorized, ordinary = run.pruning, run.data.of(*MEMORIZED), _ordinary(run)
    if method is None:
        raise InputError("study=subspace compares masks, but there is no pruning: use pruning=wanda")
    if len(memorized) < max(4, groups) or len(ordinary) < len(memorized):
        raise InputError(
            f"study=subspace needs {max(4, groups)} memorized targets and as many ordinary captions, but the"
            f" data has {len(memorized)} and {len(ordinary)}"
        )
    both = [_divided(some, groups, run.cfg.seed) for some in (memorized, ordinary[: len(memorized)])]
    found = [[_mask(run, method, part) for part in parts] for parts in both]

    halves, usual_halves = (
        _divided(some, 2, run.cfg.seed) for some in (memorized, ordinary[: len(memorized)])
    )
    three = [_mask(run, method, part) for part in (*halves, usual_halves[0])]
    own, other, usual = swapped(run, method, halves, three)
    models = (run.original, at_random(run, other), usual, other, own)
    rows, images = measure(run, [draw(run, each, memorized) for each in models], (), [RANDOM, usual.name])
    return Outcome(rows + overlap_rows(run, method, *found), images)


def _ordinary(run: Run) -> list[Target]:
    """Ordinary captions as if they were targets."""
    given = run.data.ordinary
    images = given.images or [np.zeros((1, 1, 3), np.uint8)] * len(given.captions)
    named = enumerate(zip(given.captions, images, strict=True))
    return [Target(f"caption/{i:05d}", text, "ordinary", image) for i, (text, image) in named]


def _divided(targets: list[Target], parts: int, seed: int) -> list[list[Target]]:
    """Disjoint random sets of equal size; what is left over is in none."""
    size = len(targets) // parts
    order = np.random.default_rng(derive(seed, "subspace", parts)).permutation(len(targets))
    return [[targets[i] for i in sorted(order[k * size : (k + 1) * size])] for k in range(parts)]


def _mask(run: Run, method: Part[Method], targets: list[Target]) -> Mask:
    result = find(run, run.original, method, targets, f"{method.made.name} of {len(targets)} prompts")
    return masks.load(result.folder / "mask.safetensors")


def swapped(
    run: Run, method: Part[Method], halves: list[list[Target]], found: list[Mask]
) -> tuple[Subject, Subject, Subject]:
    """The model with each half's own mask, with the other's, with that of ordinary prompts."""
    a, b, ordinary = found
    called = method.made.name
    first = {target.name for target in halves[0]}
    memorized = run.data.of(*MEMORIZED)
    seed = run.cfg.seed

    def subject(name: str, pair: list[Mask], turned: bool) -> Subject:
        own = {target.name: int((target.name not in first) != turned) for target in memorized}
        recipe = {"of": [[t.identity for t in half] for half in halves], "name": name, "method": called}
        stage = keep_masks(run, run.original, pair, name, {**recipe, "seed": seed}, own)
        return Subject(
            name, run.diffusion, stage, pruning=name, made=stage, settings=method.settings, places=own
        )

    # equal counts: what ordinary prompts select is cut to what the other half selects
    usual = [random.trimmed(ordinary, b, seed), random.trimmed(ordinary, a, seed)]
    return (
        subject(f"{called}_own_half", [a, b], False),
        subject(f"{called}_other_half", [a, b], True),
        subject(f"{called}_ordinary", usual, False),
    )


def overlap_rows(run: Run, method: Part[Method], memorized: list[Mask], ordinary: list[Mask]) -> list[Row]:
    """IoU of masks of disjoint groups, each beside what chance gives at its counts."""
    members = [*memorized, *ordinary]
    tables = [np.array([[f(a, b) for b in members] for a in members]) for f in (masks.iou, masks.chance_iou)]
    own, usual = np.arange(len(memorized)), np.arange(len(memorized), len(members))
    sides = {PAIRS[0]: (own, own), PAIRS[1]: (usual, usual), PAIRS[2]: (own, usual)}
    rows = []
    for name, (first, second) in sides.items():
        iou, chance = (table[np.ix_(first, second)] for table in tables)
        metrics = {
            "IoU": overlap(iou, first is second), "IoU_chance": overlap(chance, first is second),
            "IoU_over_chance": overlap(iou - chance, first is second),
        }  # fmt: skip
        if name == PAIRS[0]:
            metrics["IoU_over_ordinary"] = overlap_difference(tables[0], len(memorized))
        rows.append({
            "setting": name, "kind": "masks", "model": run.diffusion.name, "pruning": method.made.name,
            "defense": run.cfg.defense.name, "attack": "none",
            "params": run.settings | method.settings, "metrics": metrics,
            "failed": [], "fingerprint": masks.digest(masks.union(*members)),
            "denoiser_evaluations": 0, "gradient_evaluations": 0,
        })  # fmt: skip
    return rows
