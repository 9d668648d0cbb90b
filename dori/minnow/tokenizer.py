"""Minnow's CLIP tokenizer: byte-level BPE in which every word of the captions is one token."""

import json

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer


def build(words: list[str], length: int) -> CLIPTokenizer:
    """Learn merges until each of ``words`` is one token; other text falls back to smaller pieces."""
    tokenizer = Tokenizer(BPE(end_of_word_suffix="</w>"))
    trainer = BpeTrainer(
        vocab_size=100_000, show_progress=False, end_of_word_suffix="</w>",
        initial_alphabet=ByteLevel.alphabet(),
    )  # fmt: skip
    # two of each: a pair has to be seen twice to be merged
    tokenizer.train_from_iterator([[w] for w in sorted(set(words)) for _ in range(2)], trainer)
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    letters = sorted(ByteLevel.alphabet())
    tokens = letters + [f"{letter}</w>" for letter in letters]
    tokens += [token for token in dict.fromkeys("".join(m) for m in merges) if token not in tokens]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=length)
