"""Where an attack starts: for each (target, restart), a text to embed or a generator of N(0, 1).

A start says what it takes without any model, so that a run that lacks it is refused at once.
"""

import torch
from torch import Tensor

from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.data import MEMORIZED, Data, Target
from dori.diffusion import Diffusion

Attempt = tuple[Target, int]
Source = str | torch.Generator


def prompt(data: Data, attempts: list[Attempt], seed: int) -> list[Source]:
    """Each target's own prompt (Finding DoRI, main table)."""
    return [target.prompt for target, _ in attempts]


def gaussian(data: Data, attempts: list[Attempt], seed: int) -> list[Source]:
    """N(0, 1) in every value that a network reads (Finding DoRI, locality)."""
    return [generator(seed, "start", target.name, restart) for target, restart in attempts]


def ordinary(
    data: Data, attempts: list[Attempt], seed: int, captions: list[str] | None = None
) -> list[Source]:
    """Captions of images that are not memorized (Finding DoRI, locality); the data's, or ``captions``.

    Raises:
        InputError: there are none.
    """
    pool = list(captions or data.captions)
    if not pool:
        raise InputError(
            "attack/start=ordinary needs ordinary captions: set data.ordinary or attack.start.captions"
        )
    return _others(pool, attempts, seed)


def other_memorized(data: Data, attempts: list[Attempt], seed: int) -> list[Source]:
    """The prompt of another memorized target: does one trigger region lead to every image? Ours.

    Raises:
        InputError: there is no other.
    """
    return _others([target.prompt for target in data.of(*MEMORIZED)], attempts, seed)


def empty(data: Data, attempts: list[Attempt], seed: int) -> list[Source]:
    """The empty prompt: no word of any image. Ours."""
    return ["" for _ in attempts]


def _others(pool: list[str], attempts: list[Attempt], seed: int) -> list[Source]:
    """Texts of the pool that are not the target's own, in an order of its own, one per restart."""
    found: list[Source] = []
    for target, restart in attempts:
        others = [text for text in dict.fromkeys(pool) if text != target.prompt]
        if not others:
            raise InputError(f"attack.start: no other prompt to start {target.name} from; give more data")
        order = torch.randperm(len(others), generator=generator(seed, "start", target.name))
        found.append(others[order[restart % len(others)]])
    return found


def embed(diffusion: Diffusion, sources: list[Source]) -> Tensor:
    """Conditionings (n, rows, width) of texts and generators, float32."""
    texts = [source for source in sources if isinstance(source, str)]
    encoded = iter(diffusion.encode_prompts(texts).float() if texts else ())
    return torch.stack([
        next(encoded) if isinstance(source, str)
        else diffusion.rows.gaussian(source).to(diffusion.device)
        for source in sources
    ])  # fmt: skip
