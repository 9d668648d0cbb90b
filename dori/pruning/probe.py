"""Testing which neurons matter to a prompt: many masks at once, and only what comes after them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from dori.diffusion import StableDiffusion
from dori.pruning import noise_difference as nd
from dori.pruning.masks import Mask, of_neurons
from dori.pruning.replay import record, replayed

# scores closer than this are equal: floating-point noise must not decide which neuron is dropped
TIE = 1e-5
Listed = list[list[int]]  # per layer the neurons; one that qualifies twice is listed twice
State = TypeVar("State")
Item = TypeVar("Item")


def greedy(
    state: State,
    score: float,
    items: list[Item],
    without: Callable[[State, Item], State],
    scores: Callable[[list[State]], Tensor],
    threshold: float,
    width: int,
    same: Callable[[State, State], bool] = lambda a, b: False,
) -> tuple[State, float]:
    """Drop one item after another where the score without it stays below the threshold.

    Equal to testing them one by one: up to ``width`` are tested at once on the guess that all of
    them turn out as the last one did, and from the first that does not, the rest is tested anew.
    Where dropping an item changes nothing (``same``), the score is the one that is known.
    """
    position, guess, ahead = 0, True, 1
    while position < len(items):
        trial, trials = state, []
        for item in items[position : position + min(ahead, width)]:
            dropped = without(trial, item)
            if same(trial, dropped):
                break
            trials.append(dropped)
            trial = dropped if guess else trial
        if not trials:
            if score < threshold - TIE:
                state = without(state, items[position])
            position += 1
            continue
        for dropped, value in zip(trials, scores(trials).tolist(), strict=True):
            position += 1
            drop = value < threshold - TIE
            if drop:
                state, score = dropped, value
            if drop != guess:
                guess, ahead = drop, 1
                break
        else:
            ahead *= 2
    return state, score


@dataclass
class Probe:
    """Scores of one prompt with neurons blocked: highest similarity to the unblocked differences.

    ``y`` (1, tokens, width), ``noise`` and ``unblocked`` (seeds, c, h, w).
    """

    diffusion: StableDiffusion
    layers: list[str]
    y: Tensor
    noise: Tensor
    unblocked: Tensor
    evaluations: int = 0
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def modules(self) -> dict[str, Any]:
        return {name: self.diffusion.unet.get_submodule(name) for name in self.layers}

    @property
    def width(self) -> int:
        """How many masks fit one U-Net call."""
        return max(1, self.diffusion.batch // len(self.noise))

    def mask(self, listed: Listed) -> Mask:
        return of_neurons(self.modules, listed)

    def same(self, a: Listed, b: Listed) -> bool:
        return all(set(x) == set(y) for x, y in zip(a, b, strict=True))

    def _differences(self, masks: list[Mask]) -> Tensor:
        seeds = len(self.noise)
        gates = {
            name: torch.stack([~mask[name] for mask in masks]).repeat_interleave(seeds, 0).to(self.y.device)
            for name in self.layers
        }
        self.evaluations += len(masks) * seeds
        noise = self.noise.repeat(len(masks), 1, 1, 1)
        with nd.blocked(self.diffusion.unet, gates):
            return nd.noise_difference(self.diffusion, self.y.expand(len(noise), -1, -1), noise)

    def record(self, mask: Mask) -> None:
        """Keep what the U-Net computes before each layer while ``mask`` is blocked."""
        _, self.before = record(self.diffusion.unet, self.layers, lambda: self._differences([mask]))

    def scores(self, masks: list[Mask], since: str | None = None) -> Tensor:
        """(n,); ``since``: all masks are the recorded one before that layer."""
        if since is None:
            found = torch.cat([self._differences(part) for part in _parts(masks, self.width)])
        else:
            with replayed(self.diffusion.unet, self.before[since], len(masks)):
                found = self._differences(masks)
        similar = self.diffusion.noise_similarity(self.unblocked.repeat(len(masks), 1, 1, 1), found)
        return similar.view(len(masks), -1).amax(1).cpu()


def _parts(masks: list[Mask], size: int) -> list[list[Mask]]:
    return [masks[i : i + size] for i in range(0, len(masks), size)]
