"""Do memorized prompts share a subspace? Masks of disjoint sets of prompts, compared and swapped.

The claims of the seed paper of Wanda pruning (arXiv 2406.18566): different sets of memorized prompts
select the same weights, so that the mask of one set mitigates another.
"""

import numpy as np
import pandas as pd

from dori.data import MEMORIZED, Target
from dori.errors import InputError, check_positive
from dori.metrics.intervals import Estimate, bootstrap
from dori.pruning import Mask, Method, masks, random
from dori.pruning.selection import Keep, Selection
from dori.randomness import derive
from dori.studies.pruning import at_random, find
from dori.studies.rows import Row, rows_of
from dori.studies.run import Run
from dori.studies.subjects import Subject

PAIRS = ("memorized and memorized", "ordinary and ordinary", "memorized and ordinary")


def subspace(run: Run, splits: int = 5) -> tuple[list[Row], pd.DataFrame]:
    """Overlap of masks over random halves of the prompts -> the first halves' masks swapped -> rows.

    Every memorized prompt is mitigated by the mask of its own half, of the other half, of as many
    ordinary prompts, and by as many weights at random.
    """
    check_positive("study.splits", splits)
    run.check_one_budget()
    run.check_no_defense("subspace")
    method, memorized, ordinary = run.pruning, run.data.of(*MEMORIZED), _ordinary(run)
    half = len(memorized) // 2
    if method is None:
        raise InputError("study=subspace compares masks, but there is no pruning: use pruning=wanda")
    if half < 2 or len(ordinary) < 2 * half:
        raise InputError(
            f"study=subspace needs 4 memorized targets and as many ordinary captions, but the data has"
            f" {len(memorized)} and {len(ordinary)}"
        )
    sets = [_halves(memorized, half, run.cfg.seed, i) for i in range(splits)]
    others = [_halves(ordinary, half, run.cfg.seed, i) for i in range(splits)]
    found = [[_mask(run, method, some) for some in (*a, *b)] for a, b in zip(sets, others, strict=True)]

    own, other, usual = swapped(run, method, sets[0], found[0])
    drawn = [run.draw(each, memorized) for each in (run.original, at_random(run, other), usual, other, own)]
    rows, images = rows_of(run, drawn, [])
    return rows + overlap_rows(run, method, found), images


def _ordinary(run: Run) -> list[Target]:
    """Ordinary captions as if they were targets."""
    given = run.data.ordinary
    images = given.images or [np.zeros((1, 1, 3), np.uint8)] * len(given.captions)
    named = enumerate(zip(given.captions, images, strict=True))
    return [Target(f"caption/{i:05d}", text, "ordinary", image) for i, (text, image) in named]


def _halves(targets: list[Target], half: int, seed: int, split: int) -> list[list[Target]]:
    chosen = np.random.default_rng(derive(seed, "subspace", split)).permutation(len(targets))[: 2 * half]
    return [[targets[i] for i in sorted(part)] for part in (chosen[:half], chosen[half:])]


def _mask(run: Run, method: Method, targets: list[Target]) -> Mask:
    result = find(run, method, targets, f"{method.name} of {len(targets)} prompts")
    return masks.load(result.folder / "mask.safetensors")


def swapped(
    run: Run, method: Method, halves: list[list[Target]], found: list[Mask]
) -> tuple[Subject, Subject, Subject]:
    """The model with each half's own mask, with the other's, with that of ordinary prompts."""
    a, b, ordinary, _ = found
    first = {target.name for target in halves[0]}
    memorized = run.data.of(*MEMORIZED)
    seed = run.cfg.seed

    def subject(name: str, pair: list[Mask], turned: bool) -> Subject:
        own = {target.name: int((target.name not in first) != turned) for target in memorized}
        recipe = {"of": [[t.identity for t in half] for half in halves], "name": name, "method": method.name}
        digests = [masks.digest(mask) for mask in pair]

        def select(_keep: Keep) -> Selection:
            return Selection(pair)

        stage = run.find_mask(select, name, {**recipe, "masks": digests, "seed": seed}, own)
        return Subject(
            name, run.diffusion, stage, pruning=name, made=stage, ratio=run.cfg.pruning.get("ratio")
        )

    # equal counts: what ordinary prompts select is cut to what the other half selects
    usual = [random.trimmed(ordinary, b, seed), random.trimmed(ordinary, a, seed)]
    return (
        subject(f"{method.name}_own_half", [a, b], False),
        subject(f"{method.name}_other_half", [a, b], True),
        subject(f"{method.name}_ordinary", usual, False),
    )


def overlap_rows(run: Run, method: Method, found: list[list[Mask]]) -> list[Row]:
    """IoU of masks of disjoint sets, over the splits, each with what chance gives at its counts."""
    pairs = {
        PAIRS[0]: [(a, b) for a, b, _, _ in found],
        PAIRS[1]: [(c, d) for _, _, c, d in found],
        PAIRS[2]: [(x, y) for a, b, c, d in found for x, y in ((a, c), (b, d))],
    }
    rows = []
    for name, members in pairs.items():
        metrics: dict[str, Estimate] = {
            "IoU": bootstrap(np.array([masks.iou(a, b) for a, b in members]), np.mean, 0),
            "IoU_chance": bootstrap(np.array([masks.chance_iou(a, b) for a, b in members]), np.mean, 0),
        }
        rows.append({
            "setting": name, "kind": "masks", "model": run.diffusion.name, "pruning": method.name,
            "defense": run.cfg.defense.name, "attack": "none",
            "params": {"ratio": run.cfg.pruning.get("ratio"), "seed": run.cfg.seed}, "metrics": metrics,
            "failed": [], "fingerprint": masks.digest(masks.union(*(m for pair in members for m in pair))),
            "unet_evaluations": 0, "gradient_evaluations": 0,
        })  # fmt: skip
    return rows
