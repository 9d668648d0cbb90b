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
# what files of Stable Diffusion XL call those of its text encoders, and how these end in a pipeline
ENCODERS = {"clip_l": "", "clip_g": "_2"}


@dataclass(frozen=True)
class Inversion:
    """A file with the embeddings of one word, of one or several tokens: one for each text encoder."""

    file: Path

    @property
    def identity(self) -> list[str]:
        """The embedding, and the word that is read as it."""
        return [digest_file(self.file), self.word]

    @cached_property
    def word(self) -> str:
        """As it stands in prompts."""
        name, *others = names(self.file)
        return self.file.stem if others or name == UNNAMED else name

    @cached_property
    def vectors(self) -> dict[str, Tensor]:
        """Token embeddings (tokens, width), by how the names of their text encoders end."""
        found = load_file(self.file)
        ending = ENCODERS if len(found) > 1 else dict.fromkeys(found, "")
        return {ending[name]: value.reshape(-1, value.shape[-1]) for name, value in found.items()}

    @property
    def tokens(self) -> list[str]:
        """What the tokenizer calls them, as diffusers does."""
        return [self.word, *(f"{self.word}_{place}" for place in range(1, len(self.vectors[""])))]


def inversions(paths: str | Sequence[str] | None) -> tuple[Inversion, ...]:
    """Of a file, or several.

    Raises:
        InputError: no file of one word in safetensors, or a word twice.
    """
    found = tuple(_read(path) for path in ([paths] if isinstance(paths, str) else paths or ()))
    words = [each.word for each in found]
    if twice := {word for word in words if words.count(word) > 1}:
        raise InputError(f"model.embeddings has {min(twice)!r} twice: rename one of the files, or its weight")
    return found


def check_words(found: tuple[Inversion, ...], widths: dict[str, int], model: str) -> None:
    """Raises InputError: embeddings of other ``widths`` than the text encoders', which may take none."""
    for each in found:
        if not widths:
            raise InputError(
                f"model.embeddings: words can be added to Stable Diffusion 1, 2 and XL, but {model} has other"
                " text encoders: set model.embeddings=null"
            )
        own = {ending: value.shape[1] for ending, value in each.vectors.items()}
        if own != widths:
            told, wanted = (" and ".join(str(x[key]) for key in sorted(x)) for x in (own, widths))
            raise InputError(
                f"model.embeddings {str(each.file)!r} is of width {told}, but the text encoders of {model}"
                f" have {wanted}: the word was trained for another model"
            )
        if len({len(value) for value in each.vectors.values()}) > 1:
            raise InputError(
                f"model.embeddings {str(each.file)!r} has another number of tokens for each text encoder:"
                " save it again from its training"
            )


def add_words(pipeline: DiffusionPipeline, found: tuple[Inversion, ...]) -> None:
    """Adds the words to tokenizers and text encoders."""
    for each in found:
        for ending, vectors in each.vectors.items():
            encoder = getattr(pipeline, f"text_encoder{ending}")
            tokenizer = getattr(pipeline, f"tokenizer{ending}")
            given = {"token": each.word, "tokenizer": tokenizer, "text_encoder": encoder}
            pipeline.load_textual_inversion({each.word: vectors}, **given)
            encoder.requires_grad_(False)


def _read(path: str) -> Inversion:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"model.embeddings {path!r} is no file; give a word's embedding in safetensors")
    if file.suffix != ".safetensors":
        raise InputError(
            f"model.embeddings {path!r} is no safetensors file: pickled ones can run code when loaded;"
            " convert it"
        )
    if len(held := names(file)) != 1 and set(held) != set(ENCODERS):
        raise InputError(
            f"model.embeddings {path!r} has {len(held)} weights, where a word has one, or"
            f" {' and '.join(ENCODERS)}: is it a LoRA (model.lora)?"
        )
    return Inversion(file)
