"""What everything outside of this folder knows of a model's settings, networks and files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from dori.diffusion.guard import Guard
    from dori.diffusion.protocol import Diffusion


class Settings(Protocol):
    """What a user sets of a model; ``dori.diffusion.pretrained`` describes each."""

    name: str
    batch: int
    sampling_steps: int
    guidance: float
    images_per_prompt: int
    noise_similarity: Callable[[Tensor, Tensor], Tensor]
    noise_timestep: int
    loss_weight_cap: float | None
    stored_dtype: torch.dtype
    guard: "Guard | None"
    twin: "Diffusion | None"

    @property
    def base(self) -> "Diffusion | None":
        """What the model was made of by training further, if anybody says so."""
        ...


class Networks(Settings, Protocol):
    """What a model is made of, the denoiser first; weights are read at the first use."""

    @property
    def identity(self) -> list[str]:
        """What a result depends on: the model as it is, and the code that runs it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all that is loaded."""
        ...

    @property
    def folder(self) -> Path:
        """Where the pipeline lies."""
        ...

    @property
    def denoiser_folder(self) -> Path:
        """Where the denoiser's weights lie."""
        ...

    @property
    def networks(self) -> list[nn.Module]:
        """What a trainer moves, the denoiser first."""
        ...

    @property
    def denoiser(self) -> nn.Module:
        """What is attacked, pruned and trained."""
        ...

    @property
    def skeleton(self) -> nn.Module:
        """The denoiser without weights."""
        ...

    @property
    def replayable(self) -> list[str]:
        """Modules whose outputs, a row a sample, decide all that follows them."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the denoiser's weights."""
        ...

    def layers(self, choice: str | list[str], loaded: bool = True) -> dict[str, nn.Linear]:
        """The linear layers of a choice, ``loaded`` or without weights; raises InputError: none."""
        ...

    def first_column(self, layer: str) -> int:
        """Where a layer's columns begin that are the feed-forward's."""
        ...

    def with_denoiser(self, folder: Path) -> Self:
        """The same model with another denoiser's weights."""
        ...

    def fresh(self) -> Self:
        """The same model, with networks of its own in memory."""
        ...

    def guarded(self, guard: "Guard") -> Self:
        """The same model behind a mitigation of its sampler."""
        ...

    def save(self, folder: Path) -> None:
        """The pipeline in diffusers' format."""
        ...

    def save_denoiser(self, denoiser: nn.Module, folder: Path, adapters: bool = False) -> None:
        """A network in the denoiser's place; adapters first as a file of their own."""
        ...
