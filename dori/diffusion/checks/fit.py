"""Whether the parts of a pipeline fit one another, and the family, by what their configurations say."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig

from dori.core.errors import InputError
from dori.diffusion.checks.folder import CLASSES
from dori.diffusion.checks.headers import read_json

if TYPE_CHECKING:
    from dori.diffusion.files import Part

# what a U-Net is given besides latents, time and text; all of it is null in this family
CONDITIONS = ("class_embed_type", "num_class_embeds", "addition_embed_type", "time_cond_proj_dim")


def check_fit(parts: dict[str, "Part"]) -> None:
    """Raises InputError: parts of another kind, or of different widths, channels and sizes."""
    for name, part in parts.items():
        if (part.folder / "adapter_config.json").is_file():
            raise InputError(
                f"{part.folder} has an adapter beside its weights (adapter_config.json): merge it into them"
                " (merge_and_unload), and save again"
            )
        kind = read_json(part.config).get("_class_name")
        if kind is not None and kind not in CLASSES[name]:
            raise InputError(f"{part.config} is of a {kind}, where {CLASSES[name][0]} is known")
    unet = settings(UNet2DConditionModel, parts["unet"])
    vae = settings(AutoencoderKL, parts["vae"])
    for name, problems in {"unet": _of_unet(unet), "vae": _of_vae(vae)}.items():
        for problem in problems:
            raise InputError(f"{parts[name].config}: {problem}")
    _check_channels(unet, vae, parts)
    _check_width(unet, parts)


def settings(kind: type, part: "Part") -> dict[str, Any]:
    """A configuration with the defaults of its class, as loading takes it."""
    defaults = {name: p.default for name, p in inspect.signature(kind.__init__).parameters.items()}  # type: ignore[misc]
    return defaults | read_json(part.config)


def text_settings(part: "Part") -> CLIPTextConfig:
    """Of the text encoder; what published folders leave out is CLIP's default."""
    try:
        return CLIPTextConfig.from_pretrained(part.folder)
    except Exception as error:  # of many kinds, by what is wrong in the file
        raise InputError(f"{part.config} cannot be read: {error}; download it again") from error


def _of_unet(unet: dict[str, Any]) -> Iterator[str]:
    for key in CONDITIONS:
        if unet[key] is not None:
            yield (
                f"{key} is {unet[key]!r}, so the U-Net wants more than text and time: give a plain Stable"
                " Diffusion model"
            )
    if unet["encoder_hid_dim_type"] not in (None, "text_proj"):
        yield f"encoder_hid_dim_type is {unet['encoder_hid_dim_type']!r}: the U-Net wants more than text"
    size = unet["sample_size"]
    if not isinstance(size, int) and not (isinstance(size, list) and len(size) == 2 and size[0] == size[1]):
        yield (
            f"sample_size is {size!r}: write the side of its square latents there, 64 in Stable Diffusion 1"
        )


def _of_vae(vae: dict[str, Any]) -> Iterator[str]:
    for key in ("shift_factor", "latents_mean"):
        if vae[key] is not None:
            yield f"{key} is {vae[key]!r}: an autoencoder of another family than Stable Diffusion 1 and 2"
    if not isinstance(vae["scaling_factor"], float | int) or vae["scaling_factor"] <= 0:
        yield f"scaling_factor is {vae['scaling_factor']!r}: write the model's own there, or leave it out"
    if (vae["in_channels"], vae["out_channels"]) != (3, 3):
        yield f"the autoencoder takes {vae['in_channels']} and gives {vae['out_channels']} channels, not 3"


def _check_channels(unet: dict[str, Any], vae: dict[str, Any], parts: dict[str, "Part"]) -> None:
    takes, gives, latents = unet["in_channels"], unet["out_channels"], vae["latent_channels"]
    if takes != latents or gives != latents:
        hint = " (inpainting, depth and upscaling take more)" if takes > latents else ""
        raise InputError(
            f"the U-Net in {parts['unet'].folder} takes {takes} channels and gives {gives}, where the"
            f" autoencoder's latents have {latents}{hint}: give a text-to-image model"
        )


def _check_width(unet: dict[str, Any], parts: dict[str, "Part"]) -> None:
    text = text_settings(parts["text_encoder"])
    wanted = unet["encoder_hid_dim"] or unet["cross_attention_dim"]
    if any(width != text.hidden_size for width in (wanted if isinstance(wanted, list) else [wanted])):
        raise InputError(
            f"the U-Net in {parts['unet'].folder} reads text of width {wanted}, but the text encoder gives"
            f" {text.hidden_size}: they belong to different models"
        )
