"""Which files a network is loaded from: the one list behind loading it, its checks and its fingerprint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers.utils
import transformers.utils
from torch import nn
from transformers import PreTrainedModel

from dori.core.errors import InputError
from dori.core.fingerprints import digest_file, fingerprint
from dori.diffusion.checks.headers import read_json

DIFFUSERS = (diffusers.utils.SAFE_WEIGHTS_INDEX_NAME, diffusers.utils.SAFETENSORS_WEIGHTS_NAME)
TRANSFORMERS = (transformers.utils.SAFE_WEIGHTS_NAME, transformers.utils.SAFE_WEIGHTS_INDEX_NAME)
TOKENIZER = (
    "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "spiece.model", "tokenizer.model",
)  # fmt: skip
PICKLED = (".bin", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class Part:
    """A network on disk.

    Args:
        kind: the class that it is loaded as.
        variant: what its library is told; none where the folder has none of those asked for.
        index: says which weight is in which of several files, where there are several.
    """

    name: str
    kind: type[nn.Module]
    folder: Path
    variant: str | None
    index: Path | None
    weights: tuple[Path, ...]

    @property
    def config(self) -> Path:
        """The file that describes the network."""
        return self.folder / "config.json"

    @property
    def files(self) -> list[Path]:
        """All that loading it reads."""
        return [self.config, *([self.index] if self.index else []), *self.weights]


def names_of(kind: type[nn.Module]) -> tuple[str, str]:
    """What its library calls the weights of a network, in the order in which it looks for them."""
    return TRANSFORMERS if issubclass(kind, PreTrainedModel) else DIFFUSERS


def part(name: str, kind: type[nn.Module], folder: Path, variant: str | None) -> Part:
    """A network's files; the plain ones where its folder has nothing of the variant, as diffusers does.

    Raises:
        InputError: there are none, pickled ones only, or fewer than their index names.
    """
    variant = variant if variant and has_variant(folder, variant) else None
    for plain in names_of(kind):
        file = folder / _of_variant(plain, variant)
        if not file.is_file():
            continue
        if file.suffix == ".json":
            return Part(name, kind, folder, variant, file, _shards(file))
        return Part(name, kind, folder, variant, None, (file,))
    raise _nothing(name, kind, folder, variant)


def parts(
    folders: dict[str, Path], kinds: dict[str, type[nn.Module]], variant: str | None
) -> dict[str, Part]:
    """Of every network, by its name.

    Raises:
        InputError: see ``part``; or a variant that none of them has.
    """
    if variant and not any(has_variant(folder, variant) for folder in folders.values()):
        known = sorted({each for folder in folders.values() for each in variants(folder)})
        raise InputError(
            f"model.variant={variant}: no *.{variant}.safetensors in {folders['vae'].parent}; it has"
            f" {', '.join(known) or 'no variants'}, so set model.variant={known[0] if known else 'null'}"
        )
    return {name: part(name, kinds[name], folder, variant) for name, folder in folders.items()}


def model_fingerprint(networks: list[Part], folder: Path, tokenizers: list[Path], settings: list[Any]) -> str:
    """Of what is loaded of a pipeline, wherever it lies and whatever else lies there."""
    others = [each / name for each in tokenizers for name in TOKENIZER]
    others.append(folder / "scheduler/scheduler_config.json")
    named = [(each.name, file) for each in networks for file in each.files]
    named += [(file.parent.name, file) for file in others if file.is_file()]
    return fingerprint([{f"{name}/{file.name}": digest_file(file) for name, file in named}, *settings])


def has_variant(folder: Path, variant: str) -> bool:
    """Whether a folder has weights of a variant, e.g. ``fp16``."""
    return any(found.startswith(variant) for found in variants(folder))


def variants(folder: Path) -> set[str]:
    """``fp16`` of ``model.fp16.safetensors``, ``model.fp16-00001-of-00002.safetensors``; pickled ones too."""
    endings = (".safetensors", *PICKLED)
    weights = (file.name for file in folder.glob("*") if file.suffix in endings)
    return {name.split(".")[1].split("-")[0] for name in weights if name.count(".") > 1}


def _of_variant(name: str, variant: str | None) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{variant}.{ending}" if variant else name


def _shards(index: Path) -> tuple[Path, ...]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise InputError(f"{index} has no weight_map: it says which weight is where; download it again")
    shards = [index.parent / name for name in sorted(set(names.values()))]
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise InputError(f"{index} names {', '.join(missing)}, which is not there; download it whole")
    return tuple(shards)


def _nothing(name: str, kind: type[nn.Module], folder: Path, variant: str | None) -> InputError:
    if not folder.is_dir():
        return InputError(f"{folder} does not exist; give a folder with the weights of the {name}")
    found = sorted(file.name for file in folder.iterdir())
    if (folder / name).is_dir():
        return InputError(f"{folder} is a whole pipeline; give its {name}: {folder / name}")
    if any(file.endswith(PICKLED) for file in found):
        return InputError(
            f"{folder} has pickled weights only for {name!r}: they can run code when loaded and are refused;"
            " convert them to safetensors"
        )
    told = "no " + " or ".join(_of_variant(each, variant) for each in names_of(kind))
    known = sorted(variants(folder))
    hint = f"; set model.variant={known[0]}" if known and not variant else ""
    return InputError(f"{folder} has {told} for {name!r}; found {found}{hint}")
