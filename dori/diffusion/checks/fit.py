"""Whether the parts of a pipeline fit one another, by what their configurations say."""

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedConfig

from dori.core.errors import InputError
from dori.diffusion.checks.headers import read_json

if TYPE_CHECKING:
    from dori.diffusion.files import Part

# classes of networks that diffusers has split since they were published
RENAMED = {"Transformer2DModel": "PixArtTransformer2DModel"}


def check_kinds(parts: dict[str, "Part"]) -> None:
    """Raises InputError: parts of another kind, or an adapter that nobody merged."""
    for part in parts.values():
        if (part.folder / "adapter_config.json").is_file():
            raise InputError(
                f"{part.folder} has an adapter beside its weights (adapter_config.json): merge it into them"
                " (merge_and_unload), and save again"
            )
        kind = read_json(part.config).get("_class_name")
        if kind is not None and RENAMED.get(kind, kind) != part.kind.__name__:
            raise InputError(f"{part.config} is of a {kind}, where {part.kind.__name__} is known")


def settings(part: "Part") -> dict[str, Any]:
    """Of one of diffusers' networks, with the defaults of its class, as loading takes them."""
    defaults = {name: p.default for name, p in inspect.signature(part.kind.__init__).parameters.items()}
    return defaults | read_json(part.config)


def text_settings(part: "Part") -> PreTrainedConfig:
    """Of a text encoder; what published folders leave out is its kind's default."""
    try:
        return part.kind.config_class.from_pretrained(part.folder)  # type: ignore[attr-defined]
    except Exception as error:  # of many kinds, by what is wrong in the file
        raise InputError(f"{part.config} cannot be read: {error}; download it again") from error


def check_channels(takes: int, gives: int, latents: int, part: "Part") -> None:
    """Raises InputError: a denoiser of other latents than its autoencoder's."""
    if takes != latents or gives != latents:
        hint = " (inpainting, depth and upscaling take more)" if takes > latents else ""
        raise InputError(
            f"the {called(part)} in {part.folder} takes {takes} channels and gives {gives}, where the"
            f" autoencoder's latents have {latents}{hint}: give a text-to-image model"
        )


def check_width(what: str, wanted: Any, given: int, part: "Part") -> None:
    """Raises InputError: a denoiser that reads text of another width than its text encoders give."""
    if any(width != given for width in (wanted if isinstance(wanted, list | tuple) else [wanted])):
        raise InputError(
            f"the {called(part)} in {part.folder} reads {what} of width {wanted}, but the text encoder gives"
            f" {given}: they belong to different models"
        )


def called(part: "Part") -> str:
    """A part as people call it."""
    return "U-Net" if part.name == "unet" else part.name


def check_problems(part: "Part", problems: Iterable[str]) -> None:
    """Raises InputError: the first of what is wrong with a configuration."""
    for problem in problems:
        raise InputError(f"{part.config}: {problem}")
