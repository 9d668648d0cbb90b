"""Whether a tokenizer fits the text encoder, and prompts fit both."""

from pathlib import Path
from textwrap import shorten

from transformers import PreTrainedTokenizerBase

from dori.core.errors import InputError
from dori.core.tokenizing import tokenized


def load_tokenizer(
    folder: Path, kind: type[PreTrainedTokenizerBase], length: int, vocabulary: int
) -> PreTrainedTokenizerBase:
    """With the ``length`` of sequences that the text encoder takes, where its own files do not say less.

    Raises:
        InputError: files that are missing or broken; tokens beyond the text encoder's ``vocabulary``.
    """
    whole = kind.vocab_files_names.get("tokenizer_file", "tokenizer.json")
    parts = [name for name in kind.vocab_files_names.values() if name != whole]
    # of an empty folder, the library makes a tokenizer without any word
    if not (folder / whole).is_file() and not all((folder / name).is_file() for name in parts):
        raise InputError(f"{folder} has neither {whole} nor {' and '.join(parts)}; download it whole")
    try:
        tokenizer = kind.from_pretrained(folder)
    except Exception as error:  # of many kinds, by the file that is broken
        raise InputError(f"the tokenizer in {folder} cannot be loaded: {error}; download it again") from error
    tokenizer.model_max_length = min(tokenizer.model_max_length, length)
    if tokenizer.pad_token is None:
        raise InputError(f"{folder}/tokenizer_config.json has no pad_token; write the model's own there")
    token, last = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if last >= vocabulary:
        raise InputError(
            f"the tokenizer in {folder} has a token {token!r} at {last}, but the text encoder has"
            f" {vocabulary} embeddings: call resize_token_embeddings and save it, or take the token out"
        )
    return tokenizer


def too_long(tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> dict[int, int]:
    """The places of the prompts that have more tokens than a sequence holds, and how many each has."""
    if not prompts:
        return {}
    lengths = map(len, tokenized(tokenizer, prompts).input_ids)
    return {place: n for place, n in enumerate(lengths) if n > tokenizer.model_max_length}


def check_lengths(
    tokenizer: PreTrainedTokenizerBase, name: str, prompts: list[str], sources: list[str] | None = None
) -> None:
    """Raises InputError: the first prompt that is too long for the model of a name, and where it was read."""
    for place, count in too_long(tokenizer, prompts).items():
        where = f"{sources[place]}: " if sources and sources[place] else ""
        raise InputError(
            f"{where}prompt of {count} tokens, but {name} takes {tokenizer.model_max_length}:"
            f" {shorten(prompts[place], 120)!r}; shorten it or set model.truncate_prompts=true"
        )
