"""The triggers of the locality study: sought, tried, counted; and what is compared with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dori.data import MEMORIZED, Target
from dori.metrics.intervals import mean_of_shares, point
from dori.steps.attack import attack
from dori.steps.draw import draw
from dori.steps.measure import measure
from dori.steps.measuring.features import Features, describe, originals_of, similarities
from dori.steps.measuring.row import Row
from dori.steps.run import Run
from dori.steps.subjects import Attacked, Subject
from dori.studies.locality.analysis.members import (
    ORDINARY,
    PROMPT,
    RANDOM,
    TRIGGER,
    Member,
    Members,
    random_like,
    units,
)
from dori.studies.locality.row import identities, study_row


@dataclass(frozen=True)
class Found:
    """What the attacks gave: their rows and images, and the triggers, image by image.

    ``attacks``: on the model under test; ``attempts``: of memorized images; ``shares``: of those of each
    image that gave a trigger.
    """

    rows: list[Row]
    images: pd.DataFrame
    attacks: list[Attacked]
    triggers: Members
    attempts: int
    shares: list[float]
    originals: Features

    @property
    def comparable(self) -> Members:
        """The triggers of images that have two or more."""
        enough = {self.triggers[group[0]].unit for group in units(self.triggers, TRIGGER) if len(group) > 1}
        return [member for member in self.triggers if member.unit in enough]


def search(run: Run, starts: dict[str, Callable]) -> Found:
    """The attack from each start, on all targets and on the twin, and which embeddings replicate."""
    everyone, memorized = run.data.targets, run.data.of(*MEMORIZED)
    twin = run.twin
    assert run.attack is not None
    rows: dict[str, Row] = {}
    frames: list[pd.DataFrame] = []
    attacks: list[Attacked] = []
    triggers: dict[str, Members] = {target.name: [] for target in memorized}
    for name, start in starts.items():
        part = _started(run, name, start)
        (attacked,) = attack(part, run.original, everyone)
        drawn = [draw(part, run.original, everyone), draw(part, run.original, everyone, attacked)]
        if twin:
            drawn.append(draw(part, twin, memorized))
            drawn += [draw(part, twin, memorized, each) for each in attack(part, twin, memorized)]
        own, images = measure(part, drawn)
        # what is not attacked is the same from every start
        rows |= {str([row["setting"], row["kind"], row["params"]]): row for row in own}
        frames.append(images.assign(start=name))
        attacks.append(replace(attacked, name=f"original-{name}"))
        for target in memorized:
            triggers[target.name] += _triggers(run, name, attacked, target, images, drawn[1].setting)
    attempts = run.attack.made.restarts * len(starts)
    shares = [len(found) / attempts for found in triggers.values()]
    images = pd.concat(frames, ignore_index=True).drop_duplicates("file", ignore_index=True)
    found = [member for group in triggers.values() for member in group]
    originals = originals_of(run, everyone)
    return Found(list(rows.values()), images, attacks, found, attempts * len(memorized), shares, originals)


def _started(run: Run, name: str, start: Callable) -> Run:
    """The same run with its attack from another start."""
    assert run.attack is not None
    node = run.attack.node.copy()
    node.start = run.cfg.study.starts[name]
    made = replace(run.attack.made, start=start)
    made.check(run.diffusion, run.data)
    return replace(run, attack=replace(run.attack, made=made, node=node))


def _triggers(
    run: Run, start: str, attacked: Attacked, target: Target, images: pd.DataFrame, setting: str
) -> Members:
    """The attempts on an image of which any picture is a copy."""
    own = images[(images["setting"] == setting) & (images["target"] == target.name)]
    best = own.groupby("restart")["sscd_orig"].max()
    place = attacked.targets.index(target) * attacked.restarts
    found = []
    for restart in range(attacked.restarts):
        row = place + restart
        if best[restart] > run.evaluation.made.threshold and attacked.triggers["failed"][row] < 0:
            embedding, begun = (attacked.triggers[key][row] for key in ("embeddings", "start"))
            named = replace(target, name=f"{target.name}/{start}/{restart:03d}", embedding=embedding)
            found.append(Member(named, TRIGGER, target.name, begun, start))
    return found


def beside(run: Run, triggers: Members, count: int) -> Members:
    """Memorized prompts, ordinary prompts, and random embeddings of the triggers' norms."""
    prompts = [Member(target, PROMPT, target.name) for target in run.data.of(*MEMORIZED)]
    ordinary = [Member(target, ORDINARY, target.name) for target in captions(run)[:count]]
    like = random_like([member.target for member in triggers], count, run.cfg.seed)
    return [*prompts, *ordinary, *(Member(target, RANDOM, target.name) for target in like)]


def captions(run: Run) -> list[Target]:
    """The held-out ordinary captions as targets, drawn on the same noise as elsewhere."""
    given = run.data.ordinary
    images = given.images or [np.zeros((1, 1, 3), np.uint8)] * len(given.captions)
    pairs = enumerate(zip(given.captions, images, strict=True))
    return [Target(f"ordinary/{i:05d}", text, "ordinary", image) for i, (text, image) in pairs]


def replicating(
    run: Run, subject: Subject, targets: list[Target], images: list[str], originals: Features
) -> NDArray[np.bool_]:
    """Whether any picture that a subject draws of each target is a copy of the image at its place: (n,)."""
    by_name = {target.name: target for target in run.data.targets}
    pictures = draw(run, subject, targets)
    owners = [by_name[name] for name in images]
    similar = similarities(describe(run, pictures), originals, owners, run.data.targets)
    return (similar["orig"].amax(1) > run.evaluation.made.threshold).numpy()


def summary(run: Run, found: Found, kept: Members) -> Row:
    """How many triggers there are, and of how many images; those with fewer than two are left out."""
    compared = {member.unit for member in kept}
    alone = sorted(target.name for target in run.data.of(*MEMORIZED) if target.name not in compared)
    metrics = {
        "Triggers": point(len(kept), found.attempts),
        "Share": mean_of_shares(found.shares, found.attempts // len(found.shares)),
        "Images": point(len(compared), len(found.shares)),
    }
    return study_row(run, "triggers", "triggers", metrics, identities(kept), left_out=alone)
