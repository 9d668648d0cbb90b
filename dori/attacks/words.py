"""The words of a model: tokens that stay what they are when they are written out and read again."""

from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@lru_cache(maxsize=1)
def vocabulary(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Ids (v,) of the tokens that are words: written with blanks between them, any of them are read
    as the same tokens again."""
    texts = [text_of(tokenizer, torch.tensor([i])) for i in range(len(tokenizer))]
    read = tokenizer(texts, add_special_tokens=False).input_ids
    return torch.tensor(
        [i for i, ids in enumerate(read) if ids == [i] and i not in tokenizer.all_special_ids]
    )


def text_of(tokenizer: PreTrainedTokenizerBase, ids: Tensor) -> str:
    """The words of a sequence (tokens,), without what only marks its start, end and padding."""
    words = [tokenizer.decode([i]).strip() for i in ids.tolist() if i not in tokenizer.all_special_ids]
    return " ".join(words)
