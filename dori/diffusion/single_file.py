"""A checkpoint in a single file, as Civitai and Comfy have them: turned into a folder once, in the cache."""

from functools import partial
from pathlib import Path

import diffusers
from diffusers import DiffusionPipeline

from dori.core.errors import InputError
from dori.core.files import as_umask
from dori.core.fingerprints import digest, digest_file, fingerprint
from dori.core.locks import made_once
from dori.diffusion.checks.folder import patterns, pickled, pipeline_class
from dori.diffusion.checks.headers import names, read_json
from dori.diffusion.checks.hub import downloaded, is_hub_id

STAGE = "single_file"  # its folder in the cache
AUTOENCODER = ("first_stage_model.", "vae.")  # before its weights' names in a file that holds a whole model
DENOISERS = ("unet", "transformer")


def converted(path: str, config: str | None, cache: str) -> str:
    """The folder that a single file becomes; without ``config``, the path as it is.

    Raises:
        InputError: no file of safetensors, or one that ``config`` does not describe.
    """
    if config is None:
        return path
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(
            f"model.config is for a checkpoint in a single file, but model.path {path!r} is no file: set"
            " model.config=null, or give the file"
        )
    if file.suffix != ".safetensors":
        raise pickled(path, file)
    alone = not any(name.startswith(AUTOENCODER) for name in names(file))
    described = _described(config, alone)
    key = fingerprint([digest_file(file), digest(described), diffusers.__version__])
    folder = Path(cache).expanduser() / STAGE / key
    return str(made_once(folder, partial(_convert, file, described, alone)))


def describing(base: str, path: str, config: str | None) -> str | None:
    """The ``config`` of what a model at ``path`` was made of: none, where it is no single file; else the
    model's, or the model itself.
    """
    base_is_file, path_is_file = (Path(each).expanduser().is_file() for each in (base, path))
    return (config or (None if path_is_file else path)) if base_is_file else None


def _convert(file: Path, described: Path, alone: bool, folder: Path) -> None:
    try:
        pipeline = _denoiser(file, described) if alone else _whole(file, described)
        pipeline.save_pretrained(folder, safe_serialization=True)
    except Exception as error:  # of many kinds, by what does not fit
        text = " ".join(str(error).split())[:300]
        raise InputError(f"{file} is not what {described} describes: {text}") from error
    as_umask(folder)


def _whole(file: Path, described: Path) -> DiffusionPipeline:
    kind = getattr(diffusers, pipeline_class(str(described), described))
    return kind.from_single_file(str(file), config=str(described), local_files_only=True)


def _denoiser(file: Path, described: Path) -> DiffusionPipeline:
    """A file that holds the denoiser alone, as most of FLUX; all else is what lies in ``described``."""
    index = read_json(described / "model_index.json")
    name = next(name for name in DENOISERS if name in index)
    kind, place = getattr(diffusers, index[name][-1]), {"config": str(described), "subfolder": name}
    denoiser = kind.from_single_file(str(file), **place, local_files_only=True)
    absent = {
        key for key, value in index.items() if isinstance(value, list) and not (described / key).is_dir()
    }
    given = {**dict.fromkeys(absent), name: denoiser}
    return DiffusionPipeline.from_pretrained(described, **given, use_safetensors=True)


def _described(config: str, weights: bool) -> Path:
    """The folder with a pipeline's configurations, by which a file's weights get their places."""
    found = Path(config).expanduser()
    if not found.exists() and is_hub_id(config):
        wanted = patterns("*.json", "*.txt", "*.model", *(["*.safetensors"] if weights else []))
        unwanted = [f"{name}/*.safetensors" for name in DENOISERS]
        sought = {"allow_patterns": wanted, "ignore_patterns": unwanted}
        return downloaded("model.config", config, "folder", **sought)
    if not (found / "model_index.json").is_file():
        raise InputError(
            f"model.config {config!r} has no model_index.json: give the folder or hub id of the pipeline that"
            " the file was made from"
        )
    return found
