"""The embedding space: distances between triggers, and their map."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.numpy import load_file, save_file

from dori.core.files import replace_file
from dori.studies.locality.analysis import distances, pairs
from dori.studies.locality.analysis.members import TRIGGER, Members, embeddings, of_kind
from dori.studies.locality.row import identities, study_row

if TYPE_CHECKING:
    from dori.steps.measuring.row import Row
    from dori.steps.run import Run

OWN_START = "trigger and its start"


def distance_rows(run: "Run", members: Members) -> "list[Row]":
    """Each group of pairs, and the triggers against their own starts."""
    inputs = {"model": run.diffusion.identity, "members": identities(members)}

    def compute(folder: Path) -> dict:
        y = embeddings(run.diffusion, members).cpu()
        found = {name: distances.pairwise(y, measure) for name, measure in distances.MEASURES.items()}
        replace_file(folder / "distances.safetensors", partial(save_file, found))
        return {}

    result = run.stages.run("distances", inputs, compute, "distances: embeddings")
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


def map_row(run: "Run", triggers: Members, perplexity: float) -> "Row":
    """PCA and t-SNE of the triggers' starts and ends: ``points`` of x, y, image, whether an end."""
    inputs = {
        "triggers": identities(triggers), "model": run.diffusion.identity, "perplexity": perplexity,
        "seed": run.cfg.seed,
    }  # fmt: skip

    def compute(folder: Path) -> dict:
        both = [(m.start, m.target.embedding) for m in triggers]
        y = torch.stack([part for side in zip(*both, strict=True) for part in side if part is not None])
        found = distances.projected(y, perplexity, run.cfg.seed)
        replace_file(folder / "map.safetensors", partial(save_file, found))
        return {}

    result = run.stages.run("map", inputs, compute, "map: t-SNE and PCA")
    found = load_file(result.folder / "map.safetensors")
    images = list(dict.fromkeys(member.unit for member in triggers))
    places = [images.index(member.unit) for member in triggers] * 2
    ends = [False] * len(triggers) + [True] * len(triggers)
    points = {
        name: [[*point, place, end] for point, place, end in zip(xy.tolist(), places, ends, strict=True)]
        for name, xy in sorted(found.items())
    }
    return study_row(run, "starts and ends", "map", {}, result.fingerprint, points=points, images=images)
