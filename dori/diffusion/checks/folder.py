"""Whether a path leads to a pipeline of this family."""

from pathlib import Path

from huggingface_hub import snapshot_download

from dori.core.errors import InputError
from dori.diffusion.checks.headers import read_json

NETWORKS = ("unet", "vae", "text_encoder")
# that share the components; an inpainting U-Net has channels of its own, which ``fit`` sees
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline")
CLASSES = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
SINGLE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


def local_folder(path: str, revision: str | None) -> Path:
    """The pipeline's folder; a hub id is downloaded (safetensors and texts of its components only).

    Raises:
        InputError: there is none, or a checkpoint in a single file.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        if path.startswith((".", "/", "~")) or path.count("/") != 1:
            raise InputError(f"model.path {path!r} does not exist; give a folder or a hub id")
        kinds = ("*.json", "*.safetensors", "*.txt")
        wanted = [f"{part}/{kind}" for part in (*CLASSES, "scheduler") for kind in kinds]
        try:
            wanted.append("model_index.json")
            return Path(snapshot_download(path, revision=revision, allow_patterns=wanted))
        except Exception as error:  # of many kinds, by several libraries
            raise InputError(f"model.path {path!r} is no folder and no reachable hub id: {error}") from error
    single = [folder] if folder.is_file() else sorted(f for f in folder.iterdir() if f.suffix in SINGLE)
    # with a config.json it is one component of a pipeline
    if single and not any((folder / name).is_file() for name in ("model_index.json", "config.json")):
        raise InputError(_convert(path, single[0]))
    return folder


def check_pipeline(path: str, folder: Path, own_unet: bool) -> None:
    """Raises InputError: a pipeline of another kind, or one that lacks a component."""
    if not (folder / "model_index.json").is_file():
        raise InputError(f"model.path {path!r} has no model_index.json: give the folder of a whole pipeline")
    index = read_json(folder / "model_index.json")
    kind = index.get("_class_name")
    if kind not in PIPELINES:
        raise InputError(
            f"model.path {path!r} is a {kind}; dori knows {PIPELINES[0]} (Stable Diffusion 1 and 2) and what"
            " has its components: give such a pipeline"
        )
    for part, known in CLASSES.items():
        found = index.get(part)
        name = found[-1] if isinstance(found, list) and found else None
        if name is not None and name not in known:
            raise InputError(
                f"model.path {path!r} has a {name} as its {part}, where {known[0]} is known: give a pipeline"
                " with that"
            )
    for part in (*CLASSES, "scheduler"):
        if not (folder / part).is_dir() and not (part == "unet" and own_unet):
            raise InputError(f"model.path {path!r} lacks its component {part!r}; download it whole")
    if not (folder / "scheduler/scheduler_config.json").is_file():
        raise InputError(f"model.path {path!r} lacks scheduler/scheduler_config.json; download it whole")


def _convert(path: str, file: Path) -> str:
    pickled = "" if file.suffix == ".safetensors" else "pickled, which can run code when loaded, and "
    return (
        f"model.path {path!r} is {pickled}a checkpoint in a single file ({file.name}), no folder of a"
        f" pipeline; convert it once: diffusers.StableDiffusionPipeline.from_single_file({str(file)!r})"
        ".save_pretrained(FOLDER), and set model.path=FOLDER"
    )
