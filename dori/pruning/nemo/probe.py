"""Testing which neurons matter to a prompt: many masks at once, and only what comes after them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from dori.diffusion import Diffusion
from dori.diffusion.similarity import Released
from dori.pruning.masks import Mask, gated, of_neurons
from dori.pruning.nemo import noise_difference as nd
from dori.pruning.nemo.replay import record, replayed

FLOAT_ERROR = 1e-5  # of a score, in float32 and better
FEW = 1  # seeds that are looked at first, and items at first; more of them cost more than they save
Listed = list[list[int]]  # per layer the neurons; one that qualifies twice is listed twice
State = TypeVar("State")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Rule(Generic[State]):
    """What is below the ``threshold``: the highest similarity of so many ``seeds``.

    ``similarities`` (states, seeds) of what is seen at some seeds may be too low where those are not all,
    never too high. What shares a call moves them by up to ``error``: as near to the threshold, and where they
    are no numbers, the score ``alone`` decides. ``width`` bounds the samples of a call.
    """

    similarities: Callable[[Tensor, list[int]], Tensor]
    alone: Callable[[State], float]
    seeds: int
    threshold: float
    error: float
    width: int


def greedy(
    state: State,
    score: float,
    items: list[Item],
    without: Callable[[State, Item], State],
    look: Callable[[list[State], list[int]], Tensor],
    rule: Rule[State],
    same: Callable[[State, State], bool] = lambda a, b: False,
) -> tuple[State, float]:
    """Drop one item after another where the score without it, over all seeds, stays below the threshold.

    Equal to testing them one by one at all seeds. One seed above the threshold decides that an item
    stays: so those that were highest last are looked at first, for several items at once on the
    guess that all of them stay, and only the first that may go is looked at with the other seeds.
    ``look`` gives (states, seeds, ...). Where dropping an item changes nothing (``same``), the score is the
    one that is known.
    """
    threshold, error, width = rule.threshold, rule.error, rule.width
    order, position, ahead = list(range(rule.seeds)), 0, FEW
    while position < len(items):
        trials: list[State] = []
        for item in items[position : position + min(ahead, max(1, width // FEW))]:
            trial = without(state, item)
            if same(state, trial):
                break
            trials.append(trial)
        if not trials:
            if score < threshold:
                state = without(state, items[position])
            position += 1
            continue
        first, others = order[:FEW], order[FEW:]
        seen = look(trials, first)
        stay = (rule.similarities(seen, first).amax(1) >= threshold + error).tolist()
        kept = stay.index(False) if False in stay else len(trials)
        position, ahead = position + kept, ahead * 2
        if kept < len(trials):
            whole = seen[kept : kept + 1]
            if others:
                whole = torch.cat([whole, look([trials[kept]], others)], 1)
            found = rule.similarities(whole, order)[0]
            highest = float(found.max())
            if not abs(highest - threshold) >= error:  # as near, or not a number
                highest = rule.alone(trials[kept])
            if highest < threshold:
                state, score = trials[kept], highest
            order = [order[place] for place in found.argsort(descending=True).tolist()]
            position, ahead = position + 1, FEW
    return state, score


@dataclass
class Probe:
    """Scores of one prompt with neurons blocked: highest similarity to the unblocked differences.

    ``y`` (1, rows, width); ``noise`` (seeds, c, h, w), of which ``kept`` (seeds,) says which count;
    ``unblocked`` (kept seeds, c, h, w). Seeds are counted among those that are kept.
    """

    diffusion: Diffusion
    layers: list[str]
    y: Tensor
    noise: Tensor
    kept: Tensor
    unblocked: Tensor
    evaluations: int = 0
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def modules(self) -> dict[str, Any]:
        """The layers by their names."""
        return {name: self.diffusion.denoiser.get_submodule(name) for name in self.layers}

    @property
    def seeds(self) -> list[int]:
        """The places of the noises that are kept."""
        return list(range(len(self.unblocked)))

    @property
    def error(self) -> float:
        """By how much what shares the denoiser's call may move a score.

        Ours: in float32 ten times what was seen; in half precision, where a GPU was not at hand, a bound.
        """
        return max(FLOAT_ERROR, 8 * torch.finfo(self.diffusion.dtype).eps)

    def mask(self, listed: Listed) -> Mask:
        """The mask of neurons that are listed layer by layer."""
        return of_neurons(self.modules, listed)

    def same(self, a: Listed, b: Listed) -> bool:
        """Whether two lists name the same neurons."""
        return all(set(x) == set(y) for x, y in zip(a, b, strict=True))

    def _differences(self, masks: list[Mask], noise: Tensor) -> Tensor:
        """(masks * noises, c, h, w), all noises with one mask after another."""
        gates = {
            name: torch.stack([~mask[name] for mask in masks]).repeat_interleave(len(noise), 0)
            for name in self.layers
        }
        self.evaluations += len(masks) * len(noise)
        noise = noise.repeat(len(masks), 1, 1, 1)
        with gated(self.diffusion.denoiser, {n: gate.to(noise.device) for n, gate in gates.items()}):
            return nd.noise_difference(self.diffusion, self.y.expand(len(noise), -1, -1), noise)

    def record(self, mask: Mask) -> None:
        """Keep what the denoiser computes before each layer while ``mask`` is blocked."""
        forward = partial(self._differences, [mask], self.noise[self.kept])
        _, self.before = record(self.diffusion.denoiser, self.diffusion.replayable, self.layers, forward)

    def look(self, masks: list[Mask], seeds: list[int], since: str | None = None) -> Tensor:
        """Noise differences (n, len(seeds), c, h, w); ``since``: all masks are the recorded one before it."""
        before = (
            replayed(self.diffusion.denoiser, self.before[since], seeds, len(masks))
            if since
            else nullcontext()
        )
        with before:
            return self._differences(masks, self.noise[self.kept][seeds]).unflatten(0, (len(masks), -1))

    def similarities(self, found: Tensor, seeds: list[int]) -> Tensor:
        """(n, len(seeds)) of noise differences; of some seeds what they have at least."""
        similarity = self.diffusion.noise_similarity
        if isinstance(similarity, Released):
            unblocked = self.unblocked[seeds + [seed for seed in self.seeds if seed not in seeds]]
            return torch.stack([similarity.at_least(unblocked, one) for one in found]).cpu()
        unblocked = self.unblocked[seeds].repeat(len(found), 1, 1, 1)
        return similarity(unblocked, found.flatten(0, 1)).view(len(found), -1).cpu()

    def alone(self, mask: Mask) -> float:
        """The score as the published procedure computes it: all seeds of one mask in one call."""
        parts = self.noise.split(self.diffusion.batch)  # or as many as memory is there for
        found = torch.cat([self._differences([mask], part) for part in parts])[self.kept]
        return float(self.diffusion.noise_similarity(self.unblocked, found).max())
