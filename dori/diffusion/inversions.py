"""Textual inversion (arXiv 2208.01618): words whose embeddings somebody trained, loaded by diffusers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from diffusers import DiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor

from dori.core.errors import InputError
from dori.core.fingerprints import digest_file
from dori.diffusion.checks.headers import names

UNNAMED = "emb_params"  # what a file of the web UI calls the embedding, whose word is the file's name


@dataclass(frozen=True)
class Inversion:
    """A file with the embedding of one word, of one or several tokens."""

    file: Path

    @property
    def identity(self) -> list[str]:
        """The embedding, and the word that is read as it."""
        return [digest_file(self.file), self.word]

    @cached_property
    def word(self) -> str:
        """As it stands in prompts."""
        (name,) = names(self.file)
        return self.file.stem if name == UNNAMED else name

    @cached_property
    def vectors(self) -> Tensor:
        """Token embeddings (tokens, width)."""
        (found,) = load_file(self.file).values()
        return found.reshape(-1, found.shape[-1])

    @property
    def tokens(self) -> list[str]:
        """What the tokenizer calls them, as diffusers does."""
        return [self.word, *(f"{self.word}_{place}" for place in range(1, len(self.vectors)))]


def inversions(paths: str | Sequence[str] | None) -> tuple[Inversion, ...]:
    """Of a file, or several.

    Raises:
        InputError: no file of one embedding in safetensors, or a word twice.
    """
    found = tuple(_read(path) for path in ([paths] if isinstance(paths, str) else paths or ()))
    words = [each.word for each in found]
    if twice := {word for word in words if words.count(word) > 1}:
        raise InputError(f"model.embeddings has {min(twice)!r} twice: rename one of the files, or its weight")
    return found


def check_words(found: tuple[Inversion, ...], width: int | None, model: str) -> None:
    """Raises InputError: an embedding of another ``width`` than the text encoder's, which may take none."""
    for each in found:
        if width is None:
            raise InputError(
                f"model.embeddings: words can be added to Stable Diffusion 1 and 2, but {model} has other"
                " text encoders: set model.embeddings=null"
            )
        if each.vectors.shape[1] != width:
            raise InputError(
                f"model.embeddings {str(each.file)!r} is of width {each.vectors.shape[1]}, but the text"
                f" encoder of {model} has {width}: the word was trained for another model"
            )


def add_words(pipeline: DiffusionPipeline, found: tuple[Inversion, ...]) -> None:
    """Adds the words to tokenizer and text encoder."""
    for each in found:
        pipeline.load_textual_inversion(str(each.file), token=each.word, use_safetensors=True)
    pipeline.text_encoder.requires_grad_(False)


def _read(path: str) -> Inversion:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"model.embeddings {path!r} is no file; give a word's embedding in safetensors")
    if file.suffix != ".safetensors":
        raise InputError(
            f"model.embeddings {path!r} is no safetensors file: pickled ones can run code when loaded;"
            " convert it"
        )
    if len(held := names(file)) != 1:
        raise InputError(
            f"model.embeddings {path!r} has {len(held)} weights, where a word has one: is it of a model with"
            " several text encoders, or a LoRA (model.lora)?"
        )
    return Inversion(file)
