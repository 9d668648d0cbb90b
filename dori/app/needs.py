"""How much a job will write, told before it begins: pictures, masks, triggers, checkpoints, a saved model."""

import logging
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from dori.core.config import build
from dori.core.disk import CACHE, JOB, amount, existing, free
from dori.core.errors import InputError
from dori.data import MEMORIZED
from dori.data.collection import Collection
from dori.defenses import Finetuning, Weights
from dori.studies.audit.count import counted

if TYPE_CHECKING:
    from dori.steps.run import Run

log = logging.getLogger(__name__)
BLOCK = 4096  # bytes of a file system's block
FLOAT = 4  # bytes of a number that an attack found
PNG = 0.6  # of a picture's bytes, compressed
CHECKPOINT = 10  # times the denoiser: the old one, the new one beside it, the best weights, the result
MASKED = 0.06  # of the denoiser's weights, a byte each, that a mask of feed-forward layers tells of
REPORT = 500_000  # bytes of the smallest report with its figures
TOLD = 10**9  # bytes from which on a job says what it will write
SURE = 0.7  # of an estimate that surely is written


@dataclass(frozen=True)
class Need:
    """What a stage may write: bytes, and files."""

    size: int
    files: int

    def __add__(self, other: "Need") -> "Need":
        return Need(self.size + other.size, self.files + other.files)


def check_room(run: "Run", output: Path) -> None:
    """Says what a large job writes.

    What the cache holds already may be this job's own from an earlier attempt, and counts as room.

    Raises:
        InputError: it cannot fit.
    """
    need = in_cache(run)
    run.stages.need = need.size
    _check(need, run.stages.root, CACHE, reused=True)
    _check(in_folder(run), output, JOB, reused=False)


def _check(need: Need, folder: Path, advice: str, reused: bool) -> None:
    left, inodes = free(folder), os.statvfs(existing(folder))
    told = f"this job writes about {amount(need.size)} in {need.files} files to {folder}"
    if need.size * SURE > left or (inodes.f_files and need.files * SURE > inodes.f_favail):
        held = _held(folder) if reused else Need(0, 0)
        if need.size * SURE > left + held.size:
            raise InputError(f"{told}, where {amount(left)} are free: make room, or {advice}")
        if inodes.f_files and need.files * SURE > inodes.f_favail + held.files:
            raise InputError(f"{told}, where {inodes.f_favail} more can be made: make room, or {advice}")
    if need.size > min(TOLD, left):
        log.warning("%s, where %s are free", told, amount(left))


def in_cache(run: "Run") -> Need:
    """What the stages write, before any of it is there."""
    pictures, attempts = _counted(run)
    model = run.diffusion
    (width, height), embedding = model.size, prod(model.rows.shape) * FLOAT
    denoiser = _size(model.denoiser_folder)
    each = _blocks(width * height * 3 * PNG)
    budgets = len(run.attack.made.budgets) if run.attack else 0
    need = Need(pictures * each, pictures) + Need(2 * attempts * budgets * embedding, budgets)
    if run.pruning:
        masks = 2 * (1 + (len(run.data.targets) if run.pruning.made.per_prompt else 0))
        need += Need(int(masks * MASKED * denoiser), masks)
    if run.defense and isinstance(defense := run.defense.made, Finetuning):
        surrogates = len(defense.trained(run.data)) * defense.surrogates.images
        need += Need(surrogates * each + CHECKPOINT * denoiser, surrogates)
    if run.defense and isinstance(run.defense.made, Weights):
        need += Need(denoiser, 2)
    return need


def in_folder(run: "Run") -> Need:
    """What the job leaves in its folder; triggers lie there a second time only on another disk."""
    need = Need(REPORT, 12)
    return need + Need(_size(run.diffusion.folder), 20) if run.cfg.save_model else need


def _counted(run: "Run") -> tuple[int, int]:
    """Pictures, and attempts of the attack; of the studies that draw less than these, the least."""
    if isinstance(run.data, Collection):
        return counted(run, build(run.cfg.study), run.data)
    study, targets, memorized = run.cfg.study, len(run.data.targets), len(run.data.of(*MEMORIZED))
    seeds = study.get("samples") or run.diffusion.images_per_prompt
    if str(study["_target_"]).rsplit(".", 1)[1] not in ("mitigation", "extraction"):
        return memorized * seeds, 0
    subjects = 1 + bool(run.defense) + (1 + study.get("baseline", True) if run.pruning else 0)
    twin = memorized if run.twin else 0
    attempts = 0
    if run.attack:
        attempts = (targets * (1 + study.get("attack_original", False)) + twin) * run.attack.made.restarts
    budgets = len(run.attack.made.budgets) if run.attack else 0
    drawn = targets * subjects + twin + attempts * budgets
    quality = sum(len(suite.prompts) * suite.images for suite in run.evaluation.made.quality.values())
    return drawn * seeds + (len(run.data.ordinary.captions) + quality) * subjects, attempts


def _size(folder: Path) -> int:
    """Bytes of the weights below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def _held(folder: Path) -> Need:
    """What lies in a cache."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Need(sum(map(_blocks, sizes)), len(sizes))


def _blocks(size: float) -> int:
    return -(-int(size) // BLOCK) * BLOCK
