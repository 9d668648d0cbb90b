"""A pipeline's networks: read at the first use, and on the device as long as they are needed there."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from dori.core.files import as_umask
from dori.diffusion import autoencoder
from dori.diffusion.inversions import add_words
from dori.diffusion.lora import merge
from dori.diffusion.pretrained import Pretrained
from dori.diffusion.saving import save_denoiser


class Loaded(Pretrained):
    """What is done with the networks themselves."""

    @cached_property
    def pipeline(self) -> DiffusionPipeline:
        """The pipeline of diffusers; its weights are read at the first use."""
        found = self.components.load(self.texts.plain, self.dtypes)
        add_words(found, self.inversions)
        if self.adapters:
            merge(found, self.KINDS.denoiser, self.adapters, self.merged)
        if self.gradient_checkpointing:
            getattr(found, self.KINDS.denoiser).enable_gradient_checkpointing()
        return found

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """In which each network is loaded."""
        return dict.fromkeys(self.components.parts, self.stored_dtype)

    @property
    def networks(self) -> list[nn.Module]:
        """What a trainer moves to its device, the denoiser first; with ``offload`` it alone."""
        names = [self.KINDS.denoiser] if self.offload else self.components.parts
        return [getattr(self.pipeline, name) for name in names]

    @property
    def denoiser(self) -> nn.Module:
        return getattr(self.pipeline, self.KINDS.denoiser)

    @property
    def skeleton(self) -> nn.Module:
        """The denoiser's layers without their weights: what can be asked of it before it is loaded."""
        return self.components.skeleton

    @property
    def device(self) -> torch.device:
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.denoiser.parameters()).dtype

    def reading(self) -> AbstractContextManager[None]:
        """The text encoders are where the denoiser is; it leaves for them, unless it is being trained."""
        names = [name for name in self.components.parts if name.startswith("text_encoder")]
        trained = any(weight.requires_grad for weight in self.denoiser.parameters())
        return visiting([getattr(self.pipeline, n) for n in names], [] if trained else [self.denoiser],
                        self.device)  # fmt: skip

    def encode_images(self, images: Tensor) -> Tensor:
        """Scaled latents (n, c, h, w), the posterior's means, of uint8 images (n, 3, H, W)."""
        vae = self.pipeline.vae
        with visiting([vae], [], self.device):
            return autoencoder.encode(vae, images, self._pictures_per_call).to(self.dtype)

    def decode(self, latents: Tensor) -> Tensor:
        """uint8 images (n, 3, H, W), on the CPU, of scaled latents (n, c, h, w)."""
        vae = self.pipeline.vae
        with visiting([vae], [], self.device):
            return autoencoder.decode(vae, latents, self._pictures_per_call)

    @property
    def _pictures_per_call(self) -> int:
        return max(1, self.batch // 8)

    def save(self, folder: Path) -> None:
        """Write the pipeline in diffusers' format, as the networks are now."""
        self.pipeline.save_pretrained(folder, safe_serialization=True)
        as_umask(folder)

    def save_denoiser(self, denoiser: nn.Module, folder: Path, adapters: bool = False) -> None:
        """A network in the denoiser's place, see ``saving``."""
        save_denoiser(self, denoiser, folder, adapters)


@contextmanager
def visiting(guests: list[nn.Module], hosts: list[nn.Module], device: torch.device) -> Iterator[None]:
    """``guests`` on the ``device`` inside; what was elsewhere goes back, and ``hosts`` make room for it.

    diffusers' own ``enable_model_cpu_offload`` moves the denoiser as well, which a trainer holds.
    """
    moved = [guest for guest in guests if next(guest.parameters()).device != device]
    away = hosts if moved else []
    home = [next(guest.parameters()).device for guest in moved]
    for host in away:
        host.cpu()
    for guest in moved:
        guest.to(device)
    try:
        yield
    finally:
        for guest, place in zip(moved, home, strict=True):
            guest.to(place)
        for host in away:
            host.to(device)
