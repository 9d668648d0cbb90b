"""A pipeline's folder: which networks and tokenizers lie there, each where its family expects it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from dori.diffusion.checks.fit import check_kinds, settings
from dori.diffusion.checks.folder import check_pipeline, local_folder
from dori.diffusion.checks.headers import check_headers, read_json
from dori.diffusion.files import Part, model_fingerprint, part, parts
from dori.diffusion.loading import load_network, load_scheduler, load_skeleton


@dataclass(frozen=True)
class Kinds:
    """What a family's pipeline is made of.

    Args:
        pipeline: the class that it is saved as.
        networks: by their names, the denoiser first.
        tokenizers: by their names.
        alike: classes of pipelines that have the same components.
        optional: components that a folder may lack.
        unused: what the class of the pipeline takes and this family has not.
        index: settings in ``model_index.json`` that its pictures depend on.
    """

    pipeline: type[DiffusionPipeline]
    networks: Mapping[str, type[nn.Module]]
    tokenizers: Mapping[str, type]
    alike: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    unused: Mapping[str, Any] = field(default_factory=dict)
    index: tuple[str, ...] = ()

    @property
    def denoiser(self) -> str:
        return next(iter(self.networks))


class Components:
    """All that is loaded of a folder, judged before any weight is read.

    Raises:
        InputError: a pipeline of another kind, or one that is not whole.
    """

    def __init__(
        self, kinds: Kinds, path: str, revision: str | None, variant: str | None, denoiser: str | None
    ):
        self.kinds, self.variant = kinds, variant
        self.folder = local_folder(path, revision)
        self.lacking = check_pipeline(path, self.folder, kinds, denoiser is not None)
        networks = {name: kind for name, kind in kinds.networks.items() if name not in self.lacking}
        folders = {name: self.folder / name for name in networks}
        if denoiser is not None:
            folders[kinds.denoiser] = Path(denoiser).expanduser()
        self.parts = parts(folders, networks, variant)
        for each in self.parts.values():
            check_headers(each)
        check_kinds(self.parts)

    def with_denoiser(self, folder: Path) -> "Components":
        """The same but for the denoiser's weights."""
        other, name = copy.copy(self), self.kinds.denoiser
        other.__dict__.pop("skeleton", None)
        other.parts = self.parts | {name: part(name, self.kinds.networks[name], folder, self.variant)}
        return other

    @property
    def denoiser(self) -> Part:
        return self.parts[self.kinds.denoiser]

    @cached_property
    def index(self) -> dict[str, Any]:
        """``model_index.json``."""
        return read_json(self.folder / "model_index.json")

    @cached_property
    def vae(self) -> dict[str, Any]:
        """The autoencoder's settings."""
        return settings(self.parts["vae"])

    @cached_property
    def skeleton(self) -> nn.Module:
        """The denoiser's layers without their weights: what can be asked of it before it is loaded."""
        return load_skeleton(self.denoiser)

    def fingerprint(self, *settings: Any) -> str:
        """Hash of all weights and configuration files that are loaded, and of how."""
        tokenizers = [self.folder / name for name in self.kinds.tokenizers]
        return model_fingerprint(list(self.parts.values()), self.folder, tokenizers, [*settings, self._told])

    def load(self, tokenizers: Mapping[str, Any], dtype: Mapping[str, torch.dtype]) -> DiffusionPipeline:
        """The whole pipeline; ``dtype`` of each network.

        Raises:
            InputError: see ``load_network``.
        """
        networks = {name: load_network(each, dtype[name]) for name, each in self.parts.items()}
        return self.kinds.pipeline(
            **networks, **dict.fromkeys(self.lacking), **tokenizers, **self.kinds.unused, **self._told,
            scheduler=load_scheduler(self.folder),
        )  # fmt: skip

    @property
    def _told(self) -> dict[str, Any]:
        return {key: self.index[key] for key in self.kinds.index if key in self.index}
