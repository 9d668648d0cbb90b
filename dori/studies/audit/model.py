"""The model that is audited, and what it was before: found where its files say so."""

import logging
from pathlib import Path
from typing import Any

from huggingface_hub import metadata_load
from torch import nn

from dori.core.config import PACKAGE, is_minnows
from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.diffusion import Diffusion, pretrained
from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.minnow.descriptor import Descriptor

log = logging.getLogger(__name__)
MINNOW = PACKAGE / "minnow/weights"


@neutral("batch")
def audited(
    path: str | None, *, name: str, base: str | None = None, variant: str | None = None,
    revision: str | None = None, dtype: str = "float32", sampling_steps: int = 50, guidance: float = 7.5,
    batch: int = 16, truncate_prompts: bool = True,
) -> Diffusion:  # fmt: skip
    """The model in a folder or of a hub id, with its base as the twin.

    Args:
        path: minnow where there is none.
        base: the model that the fine-tuning began from. Where nobody says it: for minnow its twin, else what
            the card of the model calls its base, if that is here.

    The others are those of ``dori.diffusion.pretrained``, for both models.

    Raises:
        InputError: no such model; a base that was named, but is not there.
    """
    path = str(MINNOW / "minnow") if path is None else path
    settings: dict[str, Any] = {
        "variant": variant, "dtype": dtype, "sampling_steps": sampling_steps, "guidance": guidance,
        "batch": batch, "truncate_prompts": truncate_prompts,
    }  # fmt: skip
    twin = _base(path, base, f"{name}'s base", settings)
    return pretrained(path, name=name, revision=revision, twin=twin, **settings)


def _base(path: str, base: str | None, name: str, settings: dict[str, Any]) -> Diffusion | None:
    if base is not None:
        return pretrained(base, name=name, **settings)
    if Path(path).resolve() == (MINNOW / "minnow").resolve():
        return pretrained(path, name=name, denoiser=str(MINNOW / "twin/unet"), **settings)
    card = Path(path) / "README.md"
    said = (metadata_load(card) or {}).get("base_model") if card.is_file() else None
    if not isinstance(said, str):
        return None
    try:
        return pretrained(said, name=name, **settings)
    except InputError as error:
        log.warning("%s calls %s its base, but it cannot be taken: %s; set model.base", card, said, error)
        return None


def ruler(model: str | None, path: str | None = None, device: str = "cpu") -> nn.Module:
    """What copies are judged by: minnow's descriptor for minnow and its kin, else SSCD, quantised.

    Args:
        model: the path of what is audited.
        path: of SSCD's file, where no package brings it: see ``dori.metrics.networks.sscd_int8``.

    Raises:
        InputError: SSCD is not installed, and no file is given.
    """
    if is_minnows(model):
        return Descriptor(path=str(MINNOW / "descriptor.safetensors"), device=device)
    return SSCDInt8(path)
