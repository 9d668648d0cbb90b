"""A pretrained pipeline with its settings: what is loaded, and what it is; reads no weights."""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dori.core.code import code_of
from dori.core.errors import InputError, check_positive
from dori.core.neutral import neutral
from dori.diffusion.components import Components, Kinds
from dori.diffusion.guard import Guard
from dori.diffusion.inversions import check_words, inversions
from dori.diffusion.lora import adapters, check_known
from dori.diffusion.similarity import Released
from dori.diffusion.single_file import converted, describing
from dori.diffusion.texts import Texts

RELEASED = Released()
DTYPES = ("float32", "float16", "bfloat16", "float64")


@neutral("batch", "cache", "gradient_checkpointing", "offload")
class Pretrained(ABC):
    """Text-conditioned latent diffusion in diffusers' folder format.

    Weights load at the first use, so that a run that finds all in its cache reads none.

    Args:
        path: folder or hub id of the pipeline, or a checkpoint in a single file; safetensors only.
        config: folder or hub id of the pipeline that a single file was made from; null: ``path`` is no file.
        name: how rows and reports call the model.
        denoiser: folder of a denoiser to use in place of the pipeline's own.
        variant: of the weights' files, e.g. ``fp16``; null: the plain ones.
        revision: of the hub's repository; null: the newest.
        lora: file, folder or hub id of adapters that are merged into the weights, or several.
        lora_scale: how much of each, one for all or as many.
        embeddings: file of a word that was trained by textual inversion, or several; in prompts the word is
            its weight's name, or in files of the web UI and of Stable Diffusion XL the file's.
        base: folder or hub id of what the model was made of, or a single file, of the same ``config`` or
            described by ``path``; null: with ``lora``, the same without it.
        dtype: of the weights, e.g. ``float32`` or ``bfloat16``.
        size: width and height of a picture in pixels; null: the model's own.
        sampling_steps: of the sampler, which is DDIM or, in flow models, Euler's.
        guidance: classifier-free guidance scale, 1 means none; in FLUX what the network is told.
        true_guidance: in FLUX, the scale of guidance in two halves beside that; 1 means none.
        text_tokens: of T5's sequence, where there is one; null: as many as the pipeline takes.
        images_per_prompt: seeds per prompt.
        batch: most samples in one call of the denoiser; bounds the memory.
        gradient_checkpointing: keep what goes into the denoiser's blocks only, and compute them again for
            gradients: a fraction of the memory, a third more time. diffusers' own.
        offload: text encoders and autoencoder are on the device only while they work, and the denoiser
            leaves for the text encoders.
        cache: where a single file is kept as a folder.
        truncate_prompts: cut a prompt that is too long instead of refusing it.
        noise_similarity: of two noise differences (n, c, h, w), (n,): how NeMo compares latents of
            this model's size. Default: MS-SSIM as released, for latents of 44 x 44 and more.
        noise_timestep: at which NeMo looks, the second of 50 DDIM steps.
        loss_weight_cap: the model was trained with a loss weighted by 1 / alpha_bar, at most so much;
            null: with the plain one, as SD was. Fine-tuning goes on with the same.
        twin: the same model trained without the memorized images, where there is one.
    """

    KINDS: ClassVar[Kinds]
    GUIDED: ClassVar[bool] = False  # whether the network, and so its loss, is told the guidance

    def __init__(
        self,
        path: str,
        *,
        name: str,
        config: str | None = None,
        denoiser: str | None = None,
        variant: str | None = None,
        revision: str | None = None,
        lora: str | list[str] | None = None,
        lora_scale: float | list[float] = 1.0,
        embeddings: str | list[str] | None = None,
        base: str | None = None,
        dtype: str = "float32",
        size: tuple[int, int] | None = None,
        sampling_steps: int = 50,
        guidance: float = 7.5,
        true_guidance: float = 1.0,
        text_tokens: int | None = None,
        images_per_prompt: int = 10,
        batch: int = 16,
        gradient_checkpointing: bool = False,
        offload: bool = False,
        cache: str = "~/.cache/dori",
        truncate_prompts: bool = False,
        noise_similarity: Callable[[Tensor, Tensor], Tensor] = RELEASED,
        noise_timestep: int = 961,
        loss_weight_cap: float | None = None,
        twin: Any = None,  # a model; annotations are checked at run time, where its protocol is not known
    ):
        for key, value in {
            "sampling_steps": sampling_steps, "images_per_prompt": images_per_prompt,
            "batch": batch, "guidance": guidance, "true_guidance": true_guidance,
            **({"text_tokens": text_tokens} if text_tokens is not None else {}),
        }.items():  # fmt: skip
            check_positive(f"model.{key}", value)
        if dtype not in DTYPES:
            raise InputError(f"model.dtype {dtype!r} is none of {', '.join(DTYPES)}: choose one")
        self.name, self.twin, self.batch = name, twin, batch
        self.own_size = list(size) if size else None
        self.noise_similarity, self.noise_timestep = noise_similarity, noise_timestep
        self.loss_weight_cap, self.text_tokens = loss_weight_cap, text_tokens
        self.sampling_steps, self.guidance, self.true_guidance = sampling_steps, guidance, true_guidance
        self.images_per_prompt, self.truncate_prompts = images_per_prompt, truncate_prompts
        self.gradient_checkpointing, self.offload = gradient_checkpointing, offload
        self.stored_dtype: torch.dtype = getattr(torch, dtype)
        self.guard: Guard | None = None
        folder = converted(path, config, cache)
        self.components = Components(self.KINDS, folder, revision, variant, denoiser)
        self.adapters, self.merged = adapters(lora, lora_scale), False
        if self.adapters:
            check_known(self.KINDS.pipeline)
        self.inversions = inversions(embeddings)
        check_words(self.inversions, self.word_widths, name)
        self.check()
        self.base: Any = self._made_of(base and converted(base, describing(base, path, config), cache))

    def _made_of(self, base: str | None) -> Self | None:
        """What the model was made of by training further, if anybody says so."""
        if base is None and not self.adapters:
            return None
        other = self.fresh()
        other.name, other.adapters, other.base, other.twin = f"{self.name}_base", [], None, None
        if base is not None:
            other.components = Components(self.KINDS, base, None, self.components.variant, None)
            other.check()
        return other

    @property
    def word_widths(self) -> dict[str, int]:
        """Of the token embeddings, where words can be added to them, see ``Inversion.vectors``."""
        return {}

    @property
    def new_tokens(self) -> tuple[str, ...]:
        """Of the words that are added."""
        return tuple(token for each in self.inversions for token in each.tokens)

    @abstractmethod
    def check(self) -> None:
        """Raises InputError: parts that do not fit one another, or settings that do not fit them."""

    @property
    @abstractmethod
    def texts(self) -> Texts: ...

    def with_denoiser(self, folder: Path) -> Self:
        """The same model with weights of its own, read at the first use: the denoiser's from ``folder``."""
        other = self.fresh()
        other.components = self.components.with_denoiser(folder)
        other.twin, other.merged = None, True  # adapters were in what it was trained from
        return other

    def fresh(self) -> Self:
        """The same model, with networks of its own in memory."""
        other = copy.copy(self)
        for name, value in inspect.getmembers_static(type(self)):
            if isinstance(value, cached_property):
                other.__dict__.pop(name, None)
        return other

    def guarded(self, guard: Guard) -> Self:
        """The same model behind a mitigation of its sampler."""
        other = copy.copy(self)
        other.guard, other.twin = guard, None
        return other

    @property
    def folder(self) -> Path:
        return self.components.folder

    @property
    def denoiser_folder(self) -> Path:
        return self.components.denoiser.folder

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all weights and configuration files that are loaded: what the model *is*."""
        merged = [[*adapter.identity, self.merged] for adapter in self.adapters]
        told: list[Any] = [self.text_tokens, self.own_size, merged, self.guidance if self.GUIDED else None]
        told += [each.identity for each in self.inversions]
        return self.components.fingerprint(str(self.stored_dtype), *told)

    @property
    def identity(self) -> list[str]:
        """What a result depends on: the model as it is, and the code that runs it."""
        return [self.fingerprint, code_of(type(self).__module__)]
