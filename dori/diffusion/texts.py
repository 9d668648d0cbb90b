"""A model's tokenizers: how long a prompt may be, and which rows of the sequence its words are."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
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
    """

    folder: Path
    kind: type[PreTrainedTokenizerBase]
    length: int
    vocabulary: int
    whole: bool = True

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.folder, self.kind, self.length, self.vocabulary)

    def ids(self, prompts: list[str]) -> Tensor:
        """Token ids (n, length), padded; what is too long is cut."""
        settings = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        return tokenized(self.tokenizer, prompts, **settings).input_ids

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
    def tokenizers(self) -> dict[str, PreTrainedTokenizerBase]:
        """By the names of their folders, which are those of the pipeline's components."""
        return {reader.folder.name: reader.tokenizer for reader in self.readers}

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
            check_lengths(reader.tokenizer, self.model, prompts, sources)

    def cut(self, prompts: list[str]) -> int:
        """How many of the prompts are cut, where that is allowed."""
        readers = self.whole if self.truncate else []
        return len({place for each in readers for place in too_long(each.tokenizer, prompts)})

    def content(self, prompts: list[str]) -> Tensor:
        """Which rows of the sequence are a prompt's own words, boolean (n, tokens)."""
        found = [reader.content(prompts) for reader in self.whole]
        return torch.cat([*found, torch.zeros(len(prompts), self.absent, dtype=torch.bool)], 1)
