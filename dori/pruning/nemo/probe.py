"""Testing which neurons matter to a prompt: many masks at once, and only what comes after them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from dori.diffusion import Diffusion
from dori.pruning.masks import Mask, gated, of_neurons
from dori.pruning.nemo import noise_difference as nd
from dori.pruning.nemo.replay import record, replayed

# scores closer than this are equal: floating-point noise must not decide which neuron is dropped
TIE = 1e-5
FEW = 1  # seeds that are looked at first, and items at first; more of them cost more than they save
Listed = list[list[int]]  # per layer the neurons; one that qualifies twice is listed twice
State = TypeVar("State")
Item = TypeVar("Item")


def greedy(
    state: State,
    score: float,
    items: list[Item],
    without: Callable[[State, Item], State],
    similarities: Callable[[list[State], list[int]], Tensor],
    seeds: int,
    threshold: float,
    width: int,
    same: Callable[[State, State], bool] = lambda a, b: False,
) -> tuple[State, float]:
    """Drop one item after another where the score without it, over all seeds, stays below the threshold.

    Equal to testing them one by one at all seeds. One seed above the threshold decides that an item
    stays: so those that were highest last are looked at first, for several items at once on the
    guess that all of them stay, and only the first that may go is looked at with the other seeds.
    ``width`` bounds the samples of a call. Where dropping an item changes nothing (``same``), the
    score is the one that is known.
    """
    order, position, ahead = list(range(seeds)), 0, FEW
    while position < len(items):
        trials: list[State] = []
        for item in items[position : position + min(ahead, max(1, width // FEW))]:
            trial = without(state, item)
            if same(state, trial):
                break
            trials.append(trial)
        if not trials:
            if score < threshold - TIE:
                state = without(state, items[position])
            position += 1
            continue
        first, others = order[:FEW], order[FEW:]
        similar = similarities(trials, first)
        stay = (similar.amax(1) >= threshold - TIE).tolist()
        kept = stay.index(False) if False in stay else len(trials)
        position, ahead = position + kept, ahead * 2
        if kept < len(trials):
            found = similar[kept]
            if others:
                found = torch.cat([found, similarities([trials[kept]], others)[0]])
            if found.max() < threshold - TIE:
                state, score = trials[kept], float(found.max())
            order = [order[place] for place in found.argsort(descending=True).tolist()]
            position, ahead = position + 1, FEW
    return state, score


@dataclass
class Probe:
    """Scores of one prompt with neurons blocked: highest similarity to the unblocked differences.

    ``y`` (1, rows, width), ``noise`` and ``unblocked`` (seeds, c, h, w).
    """

    diffusion: Diffusion
    layers: list[str]
    y: Tensor
    noise: Tensor
    unblocked: Tensor
    evaluations: int = 0
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def modules(self) -> dict[str, Any]:
        """The layers by their names."""
        return {name: self.diffusion.denoiser.get_submodule(name) for name in self.layers}

    def mask(self, listed: Listed) -> Mask:
        """The mask of neurons that are listed layer by layer."""
        return of_neurons(self.modules, listed)

    def same(self, a: Listed, b: Listed) -> bool:
        """Whether two lists name the same neurons."""
        return all(set(x) == set(y) for x, y in zip(a, b, strict=True))

    def _differences(self, masks: list[Mask], seeds: list[int]) -> Tensor:
        gates = {
            name: torch.stack([~mask[name] for mask in masks]).repeat_interleave(len(seeds), 0)
            for name in self.layers
        }
        self.evaluations += len(masks) * len(seeds)
        noise = self.noise[seeds].repeat(len(masks), 1, 1, 1)
        with gated(self.diffusion.denoiser, {n: gate.to(noise.device) for n, gate in gates.items()}):
            return nd.noise_difference(self.diffusion, self.y.expand(len(noise), -1, -1), noise)

    @property
    def seeds(self) -> list[int]:
        """The places of the noises."""
        return list(range(len(self.noise)))

    def record(self, mask: Mask) -> None:
        """Keep what the denoiser computes before each layer while ``mask`` is blocked."""
        forward = partial(self._differences, [mask], self.seeds)
        _, self.before = record(self.diffusion.denoiser, self.diffusion.replayable, self.layers, forward)

    def similarities(self, masks: list[Mask], seeds: list[int], since: str | None = None) -> Tensor:
        """(n, len(seeds)); ``since``: all masks are the recorded one before that layer."""
        before = (
            replayed(self.diffusion.denoiser, self.before[since], seeds, len(masks))
            if since
            else nullcontext()
        )
        with before:
            found = self._differences(masks, seeds)
        unblocked = self.unblocked[seeds].repeat(len(masks), 1, 1, 1)
        return self.diffusion.noise_similarity(unblocked, found).view(len(masks), -1).cpu()

    def score(self, mask: Mask) -> float:
        """The memorization score with a mask applied."""
        return float(self.similarities([mask], self.seeds).max())
