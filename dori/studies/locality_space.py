"""The embedding space: distances between triggers, their map, and the way from one to another."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from safetensors.numpy import load_file, save_file

from dori.files import replace_file
from dori.locality import distances, pairs
from dori.locality.cuts import ordered
from dori.locality.members import TRIGGER, Member, Members, embeddings, of_kind, units
from dori.locality.shares import Shares
from dori.studies.locality_triggers import Found, identities, replicating, study_row
from dori.studies.rows import Row
from dori.studies.run import Run

CODE = ["locality", "diffusion", "data/targets.py", "randomness.py"]
OWN_START = "trigger and its start"


def distance_rows(run: Run, members: Members) -> list[Row]:
    """Each group of pairs, and the triggers against their own starts."""
    inputs = {"model": run.diffusion.fingerprint, "members": identities(members)}

    def compute(folder: Path) -> dict:
        y = embeddings(run.diffusion, members).cpu()
        found = {name: distances.pairwise(y, measure) for name, measure in distances.MEASURES.items()}
        replace_file(folder / "distances.safetensors", partial(save_file, found))
        return {}

    result = run.stages.run("distances", inputs, CODE, compute, "distances: embeddings")
    matrices = load_file(result.folder / "distances.safetensors")
    metrics: dict[str, dict] = {group: {} for group in (*pairs.GROUPS, OWN_START)}
    triggers = [members[i] for i in of_kind(members, TRIGGER)]
    ends, starts = (torch.stack([part for part in parts if part is not None]) for parts in (
        [member.target.embedding for member in triggers], [member.start for member in triggers]
    ))  # fmt: skip
    for name, matrix in matrices.items():
        for group, figure in pairs.of_pairs(matrix, members).items():
            metrics[group][name] = figure
        metrics[pairs.ONE][f"{name}_ratio"] = pairs.compared(matrix, members)
        moved = distances.along(ends, starts, distances.MEASURES[name])
        metrics[OWN_START][name] = pairs.each(moved, triggers)
    return [
        study_row(run, group, "embeddings", found, result.fingerprint) for group, found in metrics.items()
    ]


def map_row(run: Run, triggers: Members, perplexity: float) -> Row:
    """PCA and t-SNE of the triggers' starts and ends: ``points`` of x, y, image, whether an end."""
    inputs = {
        "triggers": identities(triggers), "model": run.diffusion.fingerprint, "perplexity": perplexity,
        "seed": run.cfg.seed,
    }  # fmt: skip

    def compute(folder: Path) -> dict:
        both = [(m.start, m.target.embedding) for m in triggers]
        y = torch.stack([part for side in zip(*both, strict=True) for part in side if part is not None])
        found = distances.projected(y, perplexity, run.cfg.seed)
        replace_file(folder / "map.safetensors", partial(save_file, found))
        return {}

    result = run.stages.run("map", inputs, CODE, compute, "map: t-SNE and PCA")
    found = load_file(result.folder / "map.safetensors")
    images = list(dict.fromkeys(member.unit for member in triggers))
    places = [images.index(member.unit) for member in triggers] * 2
    ends = [False] * len(triggers) + [True] * len(triggers)
    points = {
        name: [[*point, place, end] for point, place, end in zip(xy.tolist(), places, ends, strict=True)]
        for name, xy in sorted(found.items())
    }
    return study_row(run, "starts and ends", "map", {}, result.fingerprint, points=points, images=images)


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
