"""Low-rank adapters as people hand them out: loaded by diffusers' own loaders, merged for the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor

from dori.core.errors import InputError
from dori.core.fingerprints import digest_file
from dori.diffusion.checks.headers import names, read_json
from dori.diffusion.checks.hub import downloaded, is_hub_id

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
PEFT = "base_model.model."  # before a weight's name where peft wrote it


@dataclass(frozen=True)
class Adapter:
    """A file of adapters, and how much of it is added: W + scale * B A."""

    file: Path
    scale: float

    @property
    def identity(self) -> list[Any]:
        """Its weights, its settings beside them, and how much of it."""
        files = [file for file in (self.file, self.config) if file.is_file()]
        return [[digest_file(file) for file in files], self.scale]

    @property
    def config(self) -> Path:
        return self.file.with_name("adapter_config.json")


def adapters(paths: str | Sequence[str] | None, scales: float | Sequence[float]) -> list[Adapter]:
    """Of a file, a folder or a hub id, or several; one scale for all, or as many.

    Raises:
        InputError: what is no file of adapters, or another number of scales.
    """
    given = [paths] if isinstance(paths, str) else list(paths or ())
    shares = [scales] * len(given) if isinstance(scales, int | float) else list(scales)
    if len(shares) != len(given):
        raise InputError(
            f"model.lora_scale has {len(shares)} values for {len(given)} of model.lora: give one each"
        )
    return [Adapter(_file(path), float(share)) for path, share in zip(given, shares, strict=True)]


def check_known(pipeline: type[DiffusionPipeline]) -> None:
    """Raises InputError: a pipeline for which diffusers has no loader of adapters."""
    if not hasattr(pipeline, "load_lora_weights"):
        raise InputError(
            f"model.lora: diffusers knows no adapters of a {pipeline.__name__}: merge them into its weights"
            " first, and save the model"
        )


def merge(pipeline: DiffusionPipeline, denoiser: str, found: list[Adapter], without: bool) -> None:
    """Adds the adapters to the weights; ``without``: not to the ``denoiser``'s, which has them already.

    Raises:
        InputError: adapters of another architecture.
    """
    before = {name: tuple(value.shape) for name, value in getattr(pipeline, denoiser).state_dict().items()}
    for place, adapter in enumerate(found):
        try:
            pipeline.load_lora_weights(_weights(adapter, denoiser), adapter_name=f"lora{place}")
        except Exception as error:  # of many kinds, by what does not fit
            raise InputError(_other(adapter, " ".join(str(error).split())[:200])) from error
        if not any(f"lora{place}" in each for each in pipeline.get_list_adapters().values()):
            raise InputError(_other(adapter, "none of its weights has a place there"))
    try:
        _fuse(pipeline, found, denoiser if without else None)
    except RuntimeError as error:  # of shapes, which are looked at now
        raise InputError(_other(found[-1], " ".join(str(error).split())[:200])) from error
    pipeline.unload_lora_weights()
    after = getattr(pipeline, denoiser).requires_grad_(False).state_dict()
    assert {name: tuple(value.shape) for name, value in after.items()} == before


def _fuse(pipeline: DiffusionPipeline, found: list[Adapter], without: str | None) -> None:
    pipeline.set_adapters([f"lora{i}" for i in range(len(found))], [adapter.scale for adapter in found])
    parts = [name for name in pipeline.get_list_adapters() if name != without]
    if parts:
        pipeline.fuse_lora(components=parts)


def _weights(adapter: Adapter, denoiser: str) -> dict[str, Tensor]:
    """As diffusers reads them: peft's own files have neither its prefix nor their scale among the weights."""
    weights = load_file(adapter.file)
    if not all(name.startswith(PEFT) for name in weights):
        return weights
    config = read_json(adapter.config)
    for key in ("rank_pattern", "alpha_pattern", "use_dora"):
        if config.get(key):
            raise InputError(
                f"{adapter.config}: {key} is not known here: merge the adapter, and save the model"
            )
    rank, alpha = config["r"], config["lora_alpha"]
    share = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    return {
        f"{denoiser}.{name.removeprefix(PEFT)}": value * share if ".lora_B." in name else value
        for name, value in weights.items()
    }


def _file(path: str) -> Path:
    place = Path(path).expanduser()
    if not place.exists():
        if not is_hub_id(path):
            raise InputError(f"model.lora {path!r} does not exist; give a file, a folder or a hub id")
        wanted = ["*.safetensors", "adapter_config.json"]
        place = downloaded("model.lora", path, "file", allow_patterns=wanted)
    if place.is_dir():
        known = [place / name for name in NAMES if (place / name).is_file()]
        files = known[:1] or sorted(place.glob("*.safetensors"))
        if len(files) != 1:
            raise InputError(
                f"model.lora {path!r} has {len(files)} files of safetensors: name the one to load"
            )
        place = files[0]
    if place.suffix != ".safetensors":
        raise InputError(
            f"model.lora {path!r} is no safetensors file: pickled ones can run code when loaded; convert it"
        )
    if not any("lora" in name for name in names(place)):
        raise InputError(f"model.lora {path!r} has no weights of adapters: is it a whole model (model.path)?")
    return place


def _other(adapter: Adapter, why: str) -> str:
    return f"model.lora {str(adapter.file)!r} is of another architecture than the model: {why}"
