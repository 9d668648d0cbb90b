"""Magnitude pruning: the baseline that looks at the weights alone."""

from dataclasses import dataclass

import torch

from dori.data import Data, Target
from dori.diffusion import Diffusion
from dori.pruning.baselines.budget import Budget, highest
from dori.pruning.selection import Keep, Selection


@dataclass(frozen=True)
class Magnitude(Budget):
    """Zero the weights with the largest |w| of each layer.

    Magnitude as a weight's importance: Han et al. 2015 (arXiv 1506.02626), who prune the *smallest*,
    to keep what a network can do. Here a memory is to be removed, so the selected weights are those
    that matter most, as with every other method. A neuron's score is the sum over its weights
    (Li et al. 2017, arXiv 1608.08710).

    Args:
        ratio, count, like, layers: see ``Budget``; with a ``like`` that is per prompt, each target's
            own number of weights, in the same order.
    """

    name: str = "magnitude"

    @torch.no_grad()
    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """The largest weights; neither the targets nor the data matter but for ``like``."""
        quotas, evaluations = self.quotas(diffusion, targets, data, keep)
        layers = diffusion.layers(list(quotas[0]))
        scores = {name: layer.weight.detach().double().abs().cpu() for name, layer in layers.items()}
        return Selection([highest(scores, quota) for quota in quotas], evaluations)
