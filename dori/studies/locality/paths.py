"""The way from one trigger to another: is the image drawn all along it?"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import torch

from dori.steps.measuring.row import Row
from dori.steps.run import Run
from dori.studies.locality.analysis import pairs
from dori.studies.locality.analysis.cuts import ordered
from dori.studies.locality.analysis.members import TRIGGER, Member, Members, units
from dori.studies.locality.analysis.shares import Shares
from dori.studies.locality.row import identities, study_row
from dori.studies.locality.triggers import Found, replicating


def path_rows(run: Run, found: Found, triggers: Members, count: int, between: Sequence[float]) -> list[Row]:
    """Straight lines between two triggers of an image, and from one to another image's: is it drawn?

    ``MR/0.5``: share of lines on which the image comes halfway; ``MR_fall/0.5``: how much less than at the
    first of ``between``.
    """
    lines = _lines(triggers, run.cfg.seed, count)
    points = [(group, a, b, float(at)) for group, a, b in lines for at in between]
    targets = [
        replace(a.target, name=f"{a.unit}/path/{i}/{at:g}", embedding=torch.lerp(_end(a), _end(b), at))
        for i, (_, a, b, at) in enumerate(points)
    ]
    owners = [a.unit for _, a, _, _ in points]
    hits = pd.DataFrame({
        "group": [group for group, *_ in points], "at": [at for *_, at in points], "image": owners,
        "hit": replicating(run, run.original, targets, owners, found.originals).astype(float),
    })  # fmt: skip
    rows = []
    for group, some in hits.groupby("group", sort=False):
        shares = {
            at: Shares.of([image.to_numpy() for _, image in some[some["at"] == at].groupby("image")["hit"]])
            for at in map(float, between)
        }
        metrics = {f"MR/{at:g}": found.over_images() for at, found in shares.items()}
        ends = shares[min(shares)]
        metrics |= {f"MR_fall/{at:g}": ends.above(found) for at, found in shares.items() if found is not ends}
        rows.append(study_row(run, str(group), "path", metrics, identities(triggers)))
    return rows


def _lines(triggers: Members, seed: int, count: int) -> list[tuple[str, Member, Member]]:
    """Pairs of neighbours in an image's order, and of the same place in the next image's."""
    groups = [[triggers[i] for i in rows] for rows in units(triggers, TRIGGER)]
    chains = [[group[i] for i in ordered(len(group), seed, group[0].unit)] for group in groups]
    found = []
    for place, chain in enumerate(chains):
        found += [(pairs.ONE, a, b) for a, b in list(itertools.pairwise(chain))[:count]]
        if len(chains) > 1:
            others = chains[(place + 1) % len(chains)]
            found += [(pairs.DIFFERENT, a, b) for a, b in zip(chain[:count], others, strict=False)]
    return found


def _end(member: Member) -> torch.Tensor:
    assert member.target.embedding is not None
    return member.target.embedding
