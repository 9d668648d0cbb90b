"""What can be said of a model's folder before any weight is loaded."""

import json
from pathlib import Path

from huggingface_hub import snapshot_download

from dori.errors import InputError
from dori.stages import digest_file, fingerprint

NETWORKS = ("unet", "vae", "text_encoder")
FILES = ("*.json", "*.safetensors", "*.txt")


def check_pipeline_folder(path: str, revision: str | None, variant: str | None, own_unet: bool) -> Path:
    """The pipeline's local folder; a hub id is downloaded (safetensors and texts only).

    Raises:
        InputError: the folder is missing, lacks a component, or has pickled weights only.
    """
    folder = Path(path)
    if not folder.exists():
        if path.startswith((".", "/", "~")) or path.count("/") != 1:
            raise InputError(f"model.path {path!r} does not exist; give a folder or a hub id")
        try:
            folder = Path(snapshot_download(path, revision=revision, allow_patterns=[f"*{f}" for f in FILES]))
        except Exception as error:
            raise InputError(f"model.path {path!r} is no folder and no reachable hub id: {error}") from error
    if not (folder / "model_index.json").is_file():
        raise InputError(f"model.path {path!r} has no model_index.json: not a diffusers pipeline")
    for part in (*NETWORKS, "tokenizer", "scheduler"):
        if not (folder / part).is_dir() and not (part == "unet" and own_unet):
            raise InputError(f"model.path {path!r} lacks its component {part!r}; download it whole")
    if not (folder / "scheduler/scheduler_config.json").is_file():
        raise InputError(f"model.path {path!r} lacks scheduler/scheduler_config.json; download it whole")
    ending = f".{variant}.safetensors" if variant else ".safetensors"
    for part in NETWORKS:
        if part == "unet" and own_unet:
            continue
        names = [file.name for file in (folder / part).iterdir()]
        # without a variant, the name has no dot but the ending's
        if any(name.endswith(ending) and (variant or name.count(".") == 1) for name in names):
            continue
        if any(name.endswith((".bin", ".ckpt", ".pt")) for name in names):
            raise InputError(
                f"model.path {path!r} has pickled weights only for {part!r}: they can run code when"
                " loaded and are refused; convert them to safetensors"
            )
        raise InputError(f"model.path {path!r} has no *{ending} in {part!r}; found {sorted(names)}")
    prediction = json.loads((folder / "scheduler/scheduler_config.json").read_text()).get("prediction_type")
    if prediction not in (None, "epsilon", "v_prediction"):
        raise InputError(f"model.path {path!r} predicts {prediction!r}; epsilon and v_prediction are known")
    return folder


def weights_fingerprint(folder: Path, unet: Path, dtype: str) -> str:
    """Of a pipeline with the U-Net of a folder, in which other files may lie: how its training went."""
    parts: dict[str, tuple[Path, tuple[str, ...]]] = {
        part: (folder / part, FILES) for part in ("vae", "text_encoder", "tokenizer", "scheduler")
    }
    weights = "diffusion_pytorch_model*"  # with an index, where they are in several files
    parts["unet"] = (unet, ("config.json", f"{weights}.safetensors", f"{weights}.json"))
    hashes = {
        f"{name}/{file.name}": digest_file(file)
        for name, (part, patterns) in sorted(parts.items())
        for pattern in patterns
        for file in sorted(part.glob(pattern))
    }
    return fingerprint([hashes, dtype])
