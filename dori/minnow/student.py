"""Minnow's descriptor as a small student of the real SSCD: its similarities, on minnow's pictures."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dori.minnow import loop, variations
from dori.minnow.descriptor import Descriptor
from dori.minnow.machine import CPU, Machine, drawn
from dori.minnow.world import population
from dori.minnow.world.render import render

EACH = 4  # pictures of one origin: itself, drawn anew, itself edited, drawn anew and edited
SEED = 77


@torch.no_grad()
def lesson(group: str, count: int, code: tuple[Tensor, Tensor], decode: variations.Decode) -> Tensor:
    """uint8 (count * EACH, 64, 64, 3): pictures of a group, each followed by its variations."""
    found = [each.layers for each in population.pictures(group, count)]
    rng = np.random.default_rng([SEED, population.GROUPS[group]])
    pairs = torch.stack([render(found), render([variations.redrawn(each, rng) for each in found])], 1)
    generator = torch.Generator().manual_seed(SEED + population.GROUPS[group])
    parts = []
    for part in pairs.split(128):
        x = part.permute(0, 1, 4, 2, 3).float() / 255
        edited = torch.stack([variations.edited(view, code, decode, generator) for view in x.unbind(1)], 1)
        parts.append((edited * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2))
    return torch.cat([pairs, torch.cat(parts)], 1).flatten(0, 1)


@torch.no_grad()
def described(teacher: nn.Module, pixels: Tensor, batch: int = 64) -> Tensor:
    """Vectors (n, d) of uint8 pictures (n, h, w, 3)."""
    return torch.cat([teacher(_unit(part)) for part in pixels.split(batch)])


def _unit(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


def train(
    pixels: Tensor, taught: Tensor, folder: Path, cfg: dict, seed: int, machine: Machine = CPU
) -> Descriptor:
    """Train on a lesson's ``pixels`` and the teacher's vectors of them, ``taught`` (n, dim).

    Each batch holds some origins with all their variations. The error is that of the vectors themselves, and
    of the similarities within an origin: between those of different origins, most are near zero.
    """
    torch.manual_seed(seed)
    model = Descriptor(cfg["width"], taught.shape[1])
    pixels, taught = pixels.to(machine.device), taught.to(machine.device).float()
    origins = len(pixels) // EACH
    variation = torch.arange(EACH, device=machine.device)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        places = (drawn(origins, cfg["batch"] // EACH, generator)[:, None] * EACH + variation).flatten()
        z, truth = model(_unit(pixels[places])), taught[places]
        near, right = ((v := vectors.unflatten(0, (-1, EACH))) @ v.mT for vectors in (z, truth))
        far, apart = z @ z.T, truth @ truth.T
        similar = (near - right).square().mean() + (far - apart).square().mean()
        return (1 - (z * truth).sum(1)).mean() + cfg["similar"] * similar

    loop.fit(
        model, loss, folder, steps=cfg["steps"], lr=cfg["lr"], seed=seed, ema=0.995, name="student",
        machine=machine,
    )  # fmt: skip
    return model.eval()


def agreement(mine: Tensor, theirs: Tensor, threshold: float = 0.7) -> dict[str, float]:
    """How two rulers' similarities (n,) of the same pairs agree, for n pairs.

    ``lenient``: share of pairs above the threshold by mine alone; ``strict``: by theirs alone.
    """
    a, b = mine > threshold, theirs > threshold
    return {
        "n": len(mine), "correlation": float(torch.corrcoef(torch.stack([mine, theirs]))[0, 1]),
        "agree": float((a == b).float().mean()), "lenient": float((a & ~b).float().mean()),
        "strict": float((b & ~a).float().mean()), "above": float(b.float().mean()),
    }  # fmt: skip
