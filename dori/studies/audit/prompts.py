"""What words bring back, cheapest first: captions, other prompts, captions under guidance from the base."""

from itertools import islice

import numpy as np
from torch import Tensor

from dori.attacks.paraphrase import paraphrases
from dori.core.randomness import generator
from dori.data import Target
from dori.steps.subjects import Pictures, Subject
from dori.studies.audit.drawn import Ask, Best, Drawn, ask, draw, nearest, seen
from dori.studies.audit.guidance import guided
from dori.studies.audit.options import Options
from dori.studies.audit.routes import Material, Route, judged


def from_captions(given: Material, made: Pictures | None, share: float) -> Route:
    """Every picture's own caption, of which the outputs are ``made``. The controls: held-out pictures, else
    what the base makes of the same captions, or of a ``share`` of them."""
    run, seeds, tried = given.run, given.options.seeds, given.training
    assert given.model is not None

    def null_of(subject: Subject, targets: list[Target], of: str) -> np.ndarray:
        drawn = draw(run, subject, [ask(target) for target in targets], seeds, of=of)
        return nearest(given.of(targets), [target.name for target in targets], drawn).similarity

    drawn = seen(run, [ask(target) for target in tried], made)
    best, null = nearest(given.pictures, [target.name for target in tried], drawn), np.zeros(0)
    if given.held_out:
        null = null_of(given.model, given.held_out, "held-out captions")
    elif given.base:
        null = null_of(given.base, tried[: max(1, round(share * len(tried)))], "captions")
    return judged(given, "caption", tried, best, drawn, null)


def from_prompts(given: Material, others: Drawn, tried: list[Target]) -> Route:
    """Other prompts: the caption with words swapped or dropped, and what gave the outputs of ``others``."""
    run, options = given.run, given.options
    assert given.model is not None

    def best_of(subject: Subject, targets: list[Target], pictures: Tensor) -> tuple[Best, Drawn]:
        asks = [each for target in targets for each in reworded(target, options, run.cfg.seed)]
        drawn = others + draw(run, subject, asks, 1, of=f"{len(asks)} rewordings")
        return nearest(pictures, [target.name for target in targets], drawn), drawn

    best, drawn = best_of(given.model, tried, given.of(tried))
    null = np.zeros(0)
    if given.held_out:
        null = best_of(given.model, given.held_out, given.of(given.held_out))[0].similarity
    elif given.base:
        null = best_of(given.base, tried, given.of(tried))[0].similarity
    return judged(given, "prompt", tried, best, drawn, null)


def reworded(target: Target, options: Options, seed: int) -> list[Ask]:
    """The caption with words swapped or dropped, by rule; fewer where it has too few words."""
    stream = generator(seed, "rewording", target.name)
    texts = islice(
        paraphrases(target.prompt, options.rewordings, stream, options.swapped), options.rewordings
    )
    return [Ask(target.name, target.name, text) for text in texts]


def from_guidance(given: Material, tried: list[Target], scale: float, least: float) -> Route:
    """Own captions, under guidance from the base to the model; the first held-out ones are the controls."""
    run, options = given.run, given.options
    assert given.model is not None and given.base is not None
    subject = guided(given.model, given.base, scale)
    some = given.held_out[: options.controls]
    drawn = draw(run, subject, [ask(target) for target in [*tried, *some]], 1)
    best = nearest(given.of(tried), [target.name for target in tried], drawn)
    if some:
        controls = given.controls[: len(some)]
        null = nearest(controls, [target.name for target in some], drawn).similarity
    else:
        plain = draw(run, given.base, [ask(target) for target in tried], 1)
        null = nearest(given.of(tried), [target.name for target in tried], plain).similarity
    return judged(given, "guidance", tried, best, drawn, null, least)
