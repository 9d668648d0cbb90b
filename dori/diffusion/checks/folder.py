"""Whether a path leads to a pipeline, and to which."""

from pathlib import Path
from typing import TYPE_CHECKING

from dori.core.errors import InputError
from dori.diffusion.checks.fit import RENAMED
from dori.diffusion.checks.headers import read_json
from dori.diffusion.checks.hub import downloaded, is_hub_id

if TYPE_CHECKING:
    from dori.diffusion.components import Kinds

# of all families: what is downloaded of a hub id
COMPONENTS = (
    "unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer",
    "tokenizer_2", "tokenizer_3", "scheduler",
)  # fmt: skip
SINGLE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


def local_folder(path: str, revision: str | None) -> Path:
    """The pipeline's folder; a hub id is downloaded (safetensors and texts of its components only).

    Raises:
        InputError: there is none, or a checkpoint in a single file.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        if not is_hub_id(path):
            raise InputError(f"model.path {path!r} does not exist; give a folder or a hub id")
        wanted = patterns("*.json", "*.safetensors", "*.txt", "*.model")
        return downloaded("model.path", path, "folder", revision=revision, allow_patterns=wanted)
    single = [folder] if folder.is_file() else sorted(f for f in folder.iterdir() if f.suffix in SINGLE)
    # with a config.json it is one component of a pipeline
    if single and not any((folder / name).is_file() for name in ("model_index.json", "config.json")):
        raise _single(path, single[0])
    return folder


def pipeline_class(path: str, folder: Path) -> str:
    """What a folder says that it is.

    Raises:
        InputError: no folder of a pipeline.
    """
    if not (folder / "model_index.json").is_file():
        raise InputError(f"model.path {path!r} has no model_index.json: give the folder of a whole pipeline")
    return str(read_json(folder / "model_index.json").get("_class_name"))


def check_pipeline(path: str, folder: Path, kinds: "Kinds", own_denoiser: bool) -> list[str]:
    """The optional components that are not there.

    Raises:
        InputError: a pipeline of another kind, or one that lacks a component.
    """
    found, known = pipeline_class(path, folder), kinds.pipeline.__name__
    if found not in (known, *kinds.alike):
        raise InputError(
            f"model.path {path!r} is a {found}; dori knows {known} and what has its components here: give"
            " such a pipeline, or model=pretrained, which asks the folder"
        )
    index, lacking = read_json(folder / "model_index.json"), []
    for part, kind in {**kinds.networks, **kinds.tokenizers}.items():
        named = index.get(part)
        name = named[-1] if isinstance(named, list) and named else None
        if name is not None and RENAMED.get(name, name.removesuffix("Fast")) != kind.__name__:
            raise InputError(
                f"model.path {path!r} has a {name} as its {part}, where {kind.__name__} is known: give a"
                " pipeline with that"
            )
        if (folder / part).is_dir() or (part == kinds.denoiser and own_denoiser):
            continue
        if part not in kinds.optional or name is not None:
            raise InputError(f"model.path {path!r} lacks its component {part!r}; download it whole")
        lacking.append(part)
    if not (folder / "scheduler").is_dir():
        raise InputError(f"model.path {path!r} lacks its component 'scheduler'; download it whole")
    if not (folder / "scheduler/scheduler_config.json").is_file():
        raise InputError(f"model.path {path!r} lacks scheduler/scheduler_config.json; download it whole")
    return lacking


def patterns(*kinds: str) -> list[str]:
    """What is downloaded of a hub id: files of some kinds."""
    return ["model_index.json", *(f"{part}/{kind}" for part in COMPONENTS for kind in kinds)]


def pickled(path: str, file: Path) -> InputError:
    """Of a checkpoint that is not opened."""
    return InputError(
        f"model.path {path!r} is a pickled single file ({file.name}), which can run code when loaded: give it"
        " as safetensors"
    )


def _single(path: str, file: Path) -> InputError:
    if file.suffix != ".safetensors":
        return pickled(path, file)
    return InputError(
        f"model.path {path!r} is a checkpoint in a single file ({file.name}), no folder of a pipeline: set"
        f" model.path={file} and model.config to the folder or hub id of the pipeline that it was made from"
    )
