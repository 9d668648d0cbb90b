"""A model's tokenizers: how long a prompt may be, and which rows of the sequence its words are."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers.loaders import TextualInversionLoaderMixin
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dori.core.tokenizing import tokenized
from dori.diffusion.checks.tokens import check_lengths, load_tokenizer, too_long


@dataclass(frozen=True)
class Reader:
    """One tokenizer, and what its text encoder takes.

    Args:
        length: tokens of a sequence, at most.
        vocabulary: tokens that the encoder knows.
        whole: whether its sequence is part of the conditioning; of others the pooled vector alone is.
        words: tokens that were added, see ``inversions``.
    """

    folder: Path
    kind: type[PreTrainedTokenizerBase]
    length: int
    vocabulary: int
    whole: bool = True
    words: tuple[str, ...] = ()

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        found = self.plain
        found.add_tokens(list(self.words))
        return found

    @property
    def plain(self) -> PreTrainedTokenizerBase:
        """One without the words that were added."""
        return load_tokenizer(self.folder, self.kind, self.length, self.vocabulary)

    def spelled(self, prompts: list[str]) -> list[str]:
        """With every token of a word that was added, as the pipeline has it."""
        if not self.words:
            return prompts
        return TextualInversionLoaderMixin().maybe_convert_prompt(prompts, self.tokenizer)

    def ids(self, prompts: list[str]) -> Tensor:
        """Token ids (n, length), padded; what is too long is cut."""
        settings = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        return tokenized(self.tokenizer, self.spelled(prompts), **settings).input_ids

    def content(self, prompts: list[str]) -> Tensor:
        """Which tokens stand before the first end-of-text token, boolean (n, length)."""
        return (self.ids(prompts) == self.tokenizer.eos_token_id).cumsum(1) == 0


@dataclass(frozen=True)
class Texts:
    """What a prompt has to pass before any text encoder sees it.

    Args:
        readers: in the order of their rows in the sequence.
        absent: rows after these that no text encoder fills.
    """

    model: str
    readers: tuple[Reader, ...]
    truncate: bool
    absent: int = 0

    @property
    def plain(self) -> dict[str, PreTrainedTokenizerBase]:
        """Without words that were added; by the names of their folders, the pipeline's components."""
        return {each.folder.name: each.plain if each.words else each.tokenizer for each in self.readers}

    @property
    def whole(self) -> list[Reader]:
        """The readers of whole sequences."""
        return [reader for reader in self.readers if reader.whole]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of the words that a person writes: the first."""
        return self.readers[0].tokenizer

    @property
    def length(self) -> int:
        """Rows of the sequence."""
        return sum(reader.tokenizer.model_max_length for reader in self.whole) + self.absent

    def check(self, prompts: list[str], sources: list[str] | None = None) -> None:
        """Raises InputError where a prompt has more tokens than a sequence holds, with its source."""
        for reader in self.readers:
            reader.tokenizer  # noqa: B018  is read now, so that one that is broken is found now
        for reader in self.whole if not self.truncate else ():
            check_lengths(reader.tokenizer, self.model, reader.spelled(prompts), sources)

    def cut(self, prompts: list[str]) -> int:
        """How many of the prompts are cut, where that is allowed."""
        readers = self.whole if self.truncate else []
        return len({place for each in readers for place in too_long(each.tokenizer, each.spelled(prompts))})

    def content(self, prompts: list[str]) -> Tensor:
        """Which rows of the sequence are a prompt's own words, boolean (n, tokens)."""
        found = [reader.content(prompts) for reader in self.whole]
        return torch.cat([*found, torch.zeros(len(prompts), self.absent, dtype=torch.bool)], 1)
