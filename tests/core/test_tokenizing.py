"""Tokenizers, called by several threads."""

from concurrent.futures import ThreadPoolExecutor

from transformers import CLIPTokenizer

from dori.core.config import PACKAGE
from dori.core.tokenizing import tokenized


def test_threads_that_pad_differently_get_what_one_would() -> None:
    """Each call sets the padding of the tokenizer that all share."""
    tokenizer = CLIPTokenizer.from_pretrained(PACKAGE / "minnow/weights/clip")
    texts = ["a red ring", "a large white star on a teal striped background"] * 50

    def lengths(turn: int) -> set[int]:
        padding = "max_length" if turn % 2 else "longest"
        return {len(ids) for ids in tokenized(tokenizer, texts, padding=padding, truncation=True).input_ids}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lengths, range(200)))
    assert all(found[turn] == found[turn % 2] and len(found[turn]) == 1 for turn in range(200))
    assert found[0] != found[1]
