"""Token ids, by one thread at a time: a tokenizer that two call at once may refuse ("Already borrowed")."""

import threading
from typing import Any

from transformers import BatchEncoding, PreTrainedTokenizerBase

ONE = threading.RLock()  # may read a tokenizer


def tokenized(tokenizer: PreTrainedTokenizerBase, texts: list[str], **settings: Any) -> BatchEncoding:
    """``tokenizer(texts, ...)``, for work of which several chunks go on at once."""
    with ONE:
        return tokenizer(texts, **settings)
