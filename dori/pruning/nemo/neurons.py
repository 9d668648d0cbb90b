"""The search for a prompt's neurons: candidates first, then the fewest of them that do."""

from typing import TYPE_CHECKING

from torch import Tensor

from dori.pruning.masks import Mask
from dori.pruning.nemo.probe import Listed, Probe, Rule, greedy
from dori.pruning.nemo.statistics import Statistics, activations

if TYPE_CHECKING:
    from dori.pruning.nemo.nemo import NeMo


def neurons(nemo: "NeMo", probe: Probe, statistics: Statistics, threshold: float) -> Mask:
    """Initial selection, then refinement by layer and by neuron."""
    listed, score, threshold = _candidates(nemo, probe, statistics, threshold)
    order = list(reversed(range(len(listed))))

    def without_layer(state: Listed, layer: int) -> Listed:
        return [[] if i == layer else neurons for i, neurons in enumerate(state)]

    def look(states: list[Listed], seeds: list[int]) -> Tensor:
        return probe.look([probe.mask(state) for state in states], seeds)

    def alone(state: Listed) -> float:
        return probe.alone(probe.mask(state))

    width = probe.diffusion.batch
    rule = Rule(probe.similarities, alone, len(probe.seeds), threshold, probe.error, width)
    full = [layer for layer in order if listed[layer]]
    listed, score = greedy(listed, score, full, without_layer, look, rule)
    probe.record(probe.mask(listed))
    for layer in order:
        name = probe.layers[layer]

        def without(state: Listed, neuron: int, layer: int = layer) -> Listed:
            rest = list(state[layer])
            rest.remove(neuron)
            return [rest if i == layer else neurons for i, neurons in enumerate(state)]

        def since(states: list[Listed], seeds: list[int], name: str = name) -> Tensor:
            return probe.look([probe.mask(state) for state in states], seeds, since=name)

        items = list(listed[layer])
        listed, score = greedy(listed, score, items, without, since, rule, probe.same)
    return probe.mask(listed)


def _candidates(
    nemo: "NeMo", probe: Probe, statistics: Statistics, threshold: float
) -> tuple[Listed, float, float]:
    """Candidates per layer, the score with them blocked, the threshold of the refinement.

    As released: where theta comes to ``theta_min``, the candidates of the step before stay, and
    the score that they reached becomes the threshold.
    """
    answers = [a[0].cpu() for a in activations(probe.diffusion, probe.modules, probe.y).values()]
    theta, k = nemo.theta, nemo.k
    while True:
        listed = statistics.outliers(answers, theta, k)
        score = probe.alone(probe.mask(listed))
        if not score > threshold:  # nor where it is no number
            return listed, score, threshold
        if theta > nemo.theta_min:
            theta -= nemo.theta_step
        k += 1
        if theta <= nemo.theta_min or k >= nemo.k_max:
            return listed, score, score
