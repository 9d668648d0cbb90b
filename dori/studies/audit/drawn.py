"""Outputs of a model in one table, their descriptors, and which of them is nearest to each picture.

What asks for a stage (``asked``) is apart from what looks into it (``seen``): a study asks first for all that
no result decides, and its plan knows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dori.core.fingerprints import fingerprint
from dori.data import Target
from dori.data.pictures import digest
from dori.diffusion.images import file_name
from dori.steps.draw import draw as pictures_of
from dori.steps.subjects import Attacked, Pictures, Subject
from dori.studies.audit.described import measured, read

if TYPE_CHECKING:
    from dori.steps.run import Run

BLOCK = 256  # pictures that are compared with all outputs at once
COLUMNS = ["name", "owner", "prompt", "seed", "file", "own"]
NOWHERE = -1.0  # the similarity of a picture that was compared with nothing


@dataclass(frozen=True)
class Ask:
    """A prompt to draw from: ``name``, on which its noise depends; ``owner``, its picture, if any."""

    name: str
    owner: str
    prompt: str


def ask(target: Target) -> Ask:
    """For a picture's own caption."""
    return Ask(target.name, target.name, target.prompt)


@dataclass(frozen=True)
class Drawn:
    """n outputs and their descriptors (n, d), unit vectors.

    The table has ``name``, ``owner``, ``prompt``, ``seed``, ``file``, and ``own``: whether the output counts
    for its owner alone, or for all others.
    """

    table: pd.DataFrame
    descriptors: Tensor

    def __add__(self, other: "Drawn") -> "Drawn":
        if not len(other):
            return self
        table = pd.concat([self.table, other.table], ignore_index=True)
        return Drawn(table, torch.cat([self.descriptors, other.descriptors]))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def for_others(self) -> "Drawn":
        return Drawn(self.table.assign(own=False), self.descriptors)


@dataclass(frozen=True)
class Best:
    """Of each of m pictures the most similar output: similarity (m,), and its place (m,), -1 for none."""

    similarity: np.ndarray
    place: np.ndarray


def draw(
    run: "Run", subject: Subject, asks: Sequence[Ask], seeds: int, found: Attacked | None = None, of: str = ""
) -> Drawn:
    """``seeds`` outputs of each prompt, or of the embedding that an attack found for it; ``of``: what these
    prompts are, for the stage's label."""
    return seen(run, asks, asked(run, subject, asks, seeds, found, of))


def asked(
    run: "Run", subject: Subject, asks: Sequence[Ask], seeds: int, found: Attacked | None = None, of: str = ""
) -> Pictures | None:
    """The stage of ``draw`` alone; none without prompts."""
    if not asks:
        return None
    targets = [Target(each.name, each.prompt, "", Path()) for each in asks]
    named = replace(subject, name=f"{subject.name}, {of}") if of else subject
    return pictures_of(run, named, targets, found, seeds)


def seen(run: "Run", asks: Sequence[Ask], made: Pictures | None) -> Drawn:
    """What was asked for, described."""
    if made is None:
        return Drawn(pd.DataFrame(columns=COLUMNS), torch.zeros(0, 1))
    result, seeds = made.result, made.seeds
    rows = [(each.name, each.owner, each.prompt, j) for each in asks for j in range(seeds)]
    files = [result.folder / file_name(i, j) for i in range(len(asks)) for j in range(seeds)]
    table = pd.DataFrame(rows, columns=COLUMNS[:4])
    table = table.assign(file=list(map(str, files)), own=[bool(owner) for owner in table["owner"]])
    what = f"{made.setting}, {len(files)} outputs"
    return Drawn(table, read(measured(run, files, result.fingerprint, what)))


def of_files(run: "Run", files: list[Path]) -> Drawn:
    """Outputs that somebody made: nobody knows of which prompt."""
    rows = [("", "", "", 0, str(file), False) for file in files]
    table = pd.DataFrame(rows, columns=COLUMNS)
    identity = fingerprint([digest(file) for file in files])
    return Drawn(table, read(measured(run, files, identity, f"{len(files)} outputs")))


def nearest(pictures: Tensor, names: Sequence[str], drawn: Drawn) -> Best:
    """Of each picture (m, d) the most similar of the outputs that count for it."""
    if not len(names) or not len(drawn):
        return Best(np.full(len(names), NOWHERE), np.full(len(names), -1))
    known = {name: i for i, name in enumerate(names)}
    owners = torch.tensor([known.get(owner, -1) for owner in drawn.table["owner"]])
    own = torch.tensor(drawn.table["own"].to_numpy(bool))
    similarity, place = [], []
    for places in torch.arange(len(names)).split(BLOCK):
        counts = (owners == places[:, None]) == own
        best = (pictures[places] @ drawn.descriptors.T).masked_fill(~counts, NOWHERE).max(1)
        similarity.append(best.values)
        place.append(best.indices.where(best.values > NOWHERE, -1))
    return Best(torch.cat(similarity).numpy().astype(float), torch.cat(place).numpy())


def attracted(pictures: Tensor, drawn: Drawn) -> Best:
    """The other way round: of each output the most similar of the pictures (m, d), and its place."""
    parts = [(part @ pictures.T).max(1) for part in drawn.descriptors.split(BLOCK)]
    return Best(
        torch.cat([part.values for part in parts]).numpy().astype(float),
        torch.cat([part.indices for part in parts]).numpy(),
    )
