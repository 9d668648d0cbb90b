"""The model that is audited, and what it was before: found where its files say so."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from dori.core.errors import InputError
from dori.core.judge import MINNOW, OWN
from dori.core.neutral import neutral
from dori.diffusion import Diffusion, pretrained
from dori.diffusion.lora import adapters
from dori.diffusion.single_file import describing
from dori.metrics.networks.descriptor import SSCDDescriptor
from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.minnow.descriptor import Descriptor
from dori.studies.audit.origin import said_by_card, said_by_lora

log = logging.getLogger(__name__)


@neutral("batch", "cache")
def audited(
    path: str | None, *, name: str, config: str | None = None, lora: str | list[str] | None = None,
    lora_scale: float | list[float] = 1.0, base: str | None = None, variant: str | None = None,
    revision: str | None = None, dtype: str = "float32", size: tuple[int, int] | None = None,
    sampling_steps: int = 50, guidance: float = 7.5, true_guidance: float = 1.0,
    text_tokens: int | None = None, batch: int = 16, cache: str = "~/.cache/dori",
    truncate_prompts: bool = True,
) -> Diffusion:  # fmt: skip
    """The model in a folder, of a hub id or in a single file, with its base as the twin.

    Args:
        path: minnow where there is none.
        base: the model that the fine-tuning began from, a single file also. Where nobody says it: what the
            files of the LoRA, or the card of the model, call their base, if that is here; else the model
            without the LoRA, and of minnow the twin.

    The others are those of ``dori.diffusion.pretrained``, for both models; the base has no LoRA.

    Raises:
        InputError: no such model or LoRA; a base that was named, but is not there; one of another kind.
    """
    path = str(MINNOW / "minnow") if path is None else path
    settings: dict[str, Any] = {
        "variant": variant, "dtype": dtype, "size": size, "sampling_steps": sampling_steps,
        "guidance": guidance, "true_guidance": true_guidance, "text_tokens": text_tokens, "batch": batch,
        "truncate_prompts": truncate_prompts, "cache": cache,
    }  # fmt: skip
    merged = adapters(lora, lora_scale)  # refused before any model is looked at
    twin: Diffusion | None

    def open_base(place: str, **more: Any) -> Diffusion:
        described = describing(place, path, config)
        return pretrained(place, name=f"{name}'s base", config=described, **settings, **more)

    if base is not None:
        twin = open_base(base)
    elif merged:
        twin = _named(open_base, path, [adapter.file for adapter in merged], said_by_lora)
        twin = twin or open_base(path, revision=revision)
    elif Path(path).resolve() == (MINNOW / "minnow").resolve():
        twin = open_base(path, denoiser=str(MINNOW / "twin/unet"))
    else:
        twin = _named(open_base, path, [Path(path)], said_by_card)
    model = pretrained(
        path,
        name=name,
        config=config,
        lora=lora,
        lora_scale=lora_scale,
        twin=twin,
        revision=revision,
        **settings,
    )
    if twin is not None:
        _check_alike(model, twin)
    return model


def _check_alike(model: Diffusion, base: Diffusion) -> None:
    """Raises InputError: a base on which the model's noise and prompts say nothing."""
    shapes = [(type(each), each.latent_shape, each.rows.shape) for each in (model, base)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"the base of {model.folder}, {base.folder}, is of another architecture: set model.base to what"
            " the fine-tuning began from"
        )


def _named(
    open_base: Callable[[str], Diffusion], path: str, places: list[Path], said: Callable[[Path], str | None]
) -> Diffusion | None:
    """What all ``places`` call their base, where that is another model than ``path``, and can be opened."""
    found = {said(place) for place in places}
    (called, *others) = found
    if called is None or others or called == path:
        return None
    try:
        return open_base(called)
    except InputError as error:
        log.warning(
            "%s calls %s its base, but it cannot be taken: %s; set model.base", places[0], called, error
        )
        return None


def ruler(path: str, device: str = "cpu") -> nn.Module:
    """What copies are judged by: minnow's descriptor, or SSCD.

    Args:
        path: minnow's own weights, SSCD's as ONNX (see ``dori.metrics.networks.sscd_int8``), or its authors'.

    Raises:
        InputError: no such file, or another one.
    """
    if Path(path) == OWN:
        return Descriptor(path=path, device=device)
    return SSCDInt8(path) if Path(path).suffix == ".onnx" else SSCDDescriptor(path, device=device)
