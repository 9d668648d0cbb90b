"""Four criteria on the same layers, neuron by neuron, so that methods can be compared at equal count.

NeMo's layers and Wanda's are disjoint, so what the methods select as published cannot overlap. Ours:
each criterion scores every neuron (output row) of both sets of layers, and the same share of each
layer's neurons is taken. A neuron's score is the sum over its weights where the criterion is one of
weights: those from its ``first_column`` on, which alone a method of weights prunes.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dori.data import Data, Target
from dori.data.targets import embedded, tensor
from dori.diffusion import Diffusion
from dori.pruning import Saliency, Wanda
from dori.studies.locality.analysis.activations import activations, answer

Scores = dict[str, Tensor]  # per layer (n, neurons), float64 on the CPU
Layers = dict[str, nn.Linear]


def nemo(diffusion: Diffusion, layers: Layers, y: Tensor, usual: Tensor, noise: Tensor) -> Scores:
    """NeMo's |a - mean| / deviation, over the ``usual`` embeddings; a: mean over tokens of |output|."""
    own, ordinary = (activations(diffusion, layers, x, noise, answer) for x in (y, usual))
    found = {}
    for name, a in own.items():
        mean, deviation = ordinary[name].double().mean(0), ordinary[name].double().std(0)
        found[name] = ((a.double() - mean).abs() / deviation).cpu()
    return found


def wanda(diffusion: Diffusion, layers: Layers, y: Tensor, method: Wanda) -> Scores:
    """|W| * (||X|| - ||X of the empty prompt||) where above zero, mean over Wanda's timesteps."""
    own = method.norms(diffusion, y, True, layers)
    base = method.norms(diffusion, diffusion.empty, True, layers)
    found = {}
    for name, layer in layers.items():
        weight = layer.weight.detach()[:, diffusion.first_column(name) :].abs().double().cpu()
        steps = [(a[name].sqrt() - b[name].sqrt()).clamp(min=0) for a, b in zip(own, base, strict=True)]
        found[name] = torch.stack(steps).mean(0) @ weight.T
    return found


def saliency(
    diffusion: Diffusion, layers: Layers, targets: list[Target], data: Data, method: Saliency
) -> Scores:
    """|w * dL/dw| on each target's image, minus the same on ordinary pictures.

    Draws of (noise, timestep) are an image's, the same for all its triggers.
    """
    everyday, size = data.ordinary, diffusion.size
    count = min(method.ordinary, len(everyday.images))
    names = [f"ordinary/{i:05d}" for i in range(count)]
    y = diffusion.encode_prompts(everyday.captions[:count])
    usual = method.saliency(diffusion, list(layers), names, y, everyday.tensor(size, 0, count))
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    for target in targets:
        y, image = embedded([target], diffusion.encode_prompts), tensor([target.pixels()], size)
        # without its embedding a target is its image, whichever trigger it is
        whose = str(replace(target, name="", embedding=None).identity)
        own = method.saliency(diffusion, list(layers), [whose], y, image)
        for name in layers:
            rows[name].append((own[name] - usual[name])[:, diffusion.first_column(name) :].sum(1))
    return {name: torch.stack(parts) for name, parts in rows.items()}


def magnitude(diffusion: Diffusion, layers: Layers, n: int) -> Scores:
    """Sum of |w| over a neuron's weights: the same for every trigger."""
    found = {}
    for name, layer in layers.items():
        weight = layer.weight.detach()[:, diffusion.first_column(name) :]
        found[name] = weight.abs().double().sum(1).cpu().expand(n, -1)
    return found


def highest(scores: Scores, share: float) -> list[NDArray[np.bool_]]:
    """Of each layer the neurons with the highest scores, at least one: (n, neurons) each."""
    found = []
    for score in scores.values():
        number = max(1, round(share * score.shape[1]))
        # ties go to the lower neuron
        top = score.argsort(dim=1, descending=True, stable=True)[:, :number]
        found.append(torch.zeros_like(score, dtype=torch.bool).scatter_(1, top, True).numpy())
    return found


def iou(a: list[NDArray[np.bool_]], b: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """IoU over all layers of each selection in ``a`` with each in ``b``: (n, m)."""
    one, other = np.concatenate(a, 1).astype(float), np.concatenate(b, 1).astype(float)
    both = one @ other.T
    return both / (one.sum(1)[:, None] + other.sum(1)[None] - both)
