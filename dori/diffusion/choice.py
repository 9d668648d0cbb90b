"""Which family a folder is of: what ``model_index.json`` calls its pipeline says it."""

import inspect
from functools import wraps
from typing import Any

from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.diffusion.checks.folder import local_folder, pipeline_class
from dori.diffusion.family import Family
from dori.diffusion.flux import Flux
from dori.diffusion.pixart import PixArtSigma
from dori.diffusion.pretrained import Pretrained
from dori.diffusion.single_file import converted
from dori.diffusion.stable_diffusion import StableDiffusion
from dori.diffusion.stable_diffusion_3 import StableDiffusion3
from dori.diffusion.stable_diffusion_xl import StableDiffusionXL

FAMILIES: tuple[type[Family], ...] = (
    StableDiffusion, StableDiffusionXL, StableDiffusion3, Flux, PixArtSigma,
)  # fmt: skip


@neutral("batch", "cache", "gradient_checkpointing", "offload")
@wraps(Family.__init__, assigned=("__annotations__",))
def pretrained(
    path: str, *, config: str | None = None, cache: str = "~/.cache/dori", **settings: Any
) -> Family:
    """The model in a folder, of a hub id, or in a single file.

    Raises:
        InputError: a pipeline of no known family, see ``FAMILIES``.
    """
    place = converted(path, config, cache)
    family = family_of(path, pipeline_class(path, local_folder(place, settings.get("revision"))))
    return family(path, config=config, cache=cache, **settings)


# what is checked and told of its arguments is what their families say
pretrained.__signature__ = inspect.signature(Family)  # type: ignore[attr-defined]
pretrained.__doc__ = inspect.getdoc(Pretrained)


def family_of(path: str, kind: str) -> type[Family]:
    """By the class of a pipeline."""
    for family in FAMILIES:
        if kind in (family.KINDS.pipeline.__name__, *family.KINDS.alike):
            return family
    known = ", ".join(family.KINDS.pipeline.__name__ for family in FAMILIES)
    raise InputError(f"model.path {path!r} is a {kind}; dori knows {known}: give one of these")
