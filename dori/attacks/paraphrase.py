"""Paraphrases by rule: the prompt with words swapped or dropped, as one would type it from memory.

Random swap and random deletion of Easy Data Augmentation (Wei and Zou, arXiv 1901.11196), without its
two operations that need synonyms. As a start it is an attack of its own at no steps: every restart is
another paraphrase, and all of them are kept.
"""

import math
from collections.abc import Iterator

import torch

from dori.attacks.starts import Attempt, Source
from dori.core.errors import InputError, check_share
from dori.core.randomness import generator
from dori.data import Data

TRIES = 100  # random paraphrases that are looked at before a prompt counts as having no more


def paraphrase(data: Data, attempts: list[Attempt], seed: int, share: float = 0.1) -> list[Source]:
    """A text per attempt, of the target's prompt; those of a target differ as long as there are others.

    Args:
        share: of the words that are swapped or dropped, at least one; 0.1 in the paper.

    Raises:
        InputError: a prompt that has no paraphrase: one word, say.
    """
    check_share("attack.start.share", share)
    found: list[Source] = []
    for target, restart in attempts:
        texts = list(paraphrases(target.prompt, restart + 1, generator(seed, "start", target.name), share))
        if not texts:
            raise InputError(f"attack/start=paraphrase: the prompt {target.prompt!r} has too few words")
        found.append(texts[restart % len(texts)])
    return found


def paraphrases(prompt: str, count: int, stream: torch.Generator, share: float) -> Iterator[str]:
    """Up to ``count`` different texts, swaps and deletions in turn, none of them the prompt's words."""
    words = prompt.split()
    changes = max(1, math.floor(share * len(words)))
    seen = {_read(words), ""}
    for i in range(TRIES * count):
        text = (_swapped, _dropped)[i % 2](words, changes, stream)
        if _read(text) not in seen:
            seen.add(_read(text))
            yield " ".join(text)
        if len(seen) == count + 2:
            return


def _swapped(words: list[str], times: int, stream: torch.Generator) -> list[str]:
    words = list(words)
    for _ in range(times if len(words) > 1 else 0):
        i, j = torch.randperm(len(words), generator=stream)[:2].tolist()
        words[i], words[j] = words[j], words[i]
    return words


def _dropped(words: list[str], times: int, stream: torch.Generator) -> list[str]:
    gone = set(torch.randperm(len(words), generator=stream)[:times].tolist())
    return [word for i, word in enumerate(words) if i not in gone]


def _read(words: list[str]) -> str:
    """What of it a tokenizer that knows no case reads."""
    return " ".join(words).lower()
