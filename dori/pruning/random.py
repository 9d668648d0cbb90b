"""Random pruning: the control for every method, as many weights in the same layers."""

import torch

from dori.pruning.masks import Mask
from dori.randomness import generator


def like(mask: Mask, seed: int) -> Mask:
    """A mask with as many weights in each layer as ``mask``, drawn uniformly."""
    out = {}
    for name, part in mask.items():
        order = torch.randperm(part.numel(), generator=generator(seed, "random", name))
        chosen = torch.zeros(part.numel(), dtype=torch.bool)
        chosen[order[: int(part.sum())]] = True
        out[name] = chosen.view(part.shape)
    return out
