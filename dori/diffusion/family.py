"""What all families share beyond their files: conditioning, loss, and how they draw.

A family is a subclass: it says what its pipeline is made of, how prompts become one tensor, and how its
denoiser is called. Everything outside of this folder speaks to ``dori.diffusion.protocol``.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from dori.core.errors import InputError
from dori.core.tokenizing import ONE
from dori.diffusion import autoencoder, sampler
from dori.diffusion.checks.fit import check_problems
from dori.diffusion.conditioning import Rows
from dori.diffusion.layers import Choice, layers_of
from dori.diffusion.loaded import Loaded
from dori.diffusion.schedules import Schedule, squared

if TYPE_CHECKING:
    from dori.diffusion.words import Words


class Family(Loaded):
    """How an architecture does what ``Diffusion`` asks; what is abstract differs."""

    LAYERS: ClassVar[Mapping[str, Choice]]
    SHIFTED: ClassVar[bool] = False  # whether the autoencoder's latents are
    PATCH: ClassVar[int] = 1  # latents' sides are multiples of it
    values_read_text: ClassVar[bool] = True  # those of attention to the text, and nothing else

    @abstractmethod
    def check_fit(self) -> None:
        """Raises InputError: networks that do not fit one another, or want more than the family gives."""

    @property
    @abstractmethod
    def trained_size(self) -> tuple[int, int]:
        """Width and height of the latents that the model was trained on."""

    @property
    @abstractmethod
    def schedule(self) -> Schedule: ...

    @property
    @abstractmethod
    def rows(self) -> Rows: ...

    @abstractmethod
    def encoded(self, prompts: list[str]) -> Tensor:
        """Conditionings (n, rows, width) of some prompts, by the pipeline's text encoders."""

    @abstractmethod
    def called(self, z: Tensor, asked: Tensor, y: Tensor, guidance: float) -> Tensor:
        """What the denoiser gives for latents (n, c, h, w) and conditionings, at what it is ``asked``."""

    @property
    @abstractmethod
    def replayable(self) -> list[str]:
        """Modules of the denoiser whose outputs, one row a sample, decide all that comes after them."""

    def check(self) -> None:
        vae = self.components.parts["vae"]
        check_problems(vae, autoencoder.problems(self.components.vae, self.SHIFTED))
        self.check_fit()
        self.schedule.check_steps(self.sampling_steps, "model.sampling_steps")
        self.latent_shape  # noqa: B018  refuses a size

    # conditioning

    def check_prompts(self, prompts: list[str], sources: list[str] | None = None) -> None:
        """Raises InputError where a prompt has more tokens than the text encoder takes, with its source."""
        self.texts.check(prompts, sources)

    def cut(self, prompts: list[str]) -> int:
        """How many of the prompts are cut, as ``truncate_prompts`` says."""
        return self.texts.cut(prompts)

    def content(self, prompts: list[str]) -> Tensor:
        """Which rows are a prompt's own words, boolean (n, rows); a pooled vector is none of them."""
        found = self.texts.content(prompts)
        return torch.nn.functional.pad(found, (0, self.rows.shape[0] - found.shape[1]))

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Tensor:
        """Conditionings (n, rows, width)."""
        size = min(256, 8 * self.batch)
        with ONE, self.reading():  # tokenizers refuse a second caller
            return torch.cat([self.encoded(prompts[i : i + size]) for i in range(0, len(prompts), size)])

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of the words that a person writes."""
        return self.texts.tokenizer

    def words(self, whom: str) -> "Words":
        """The words that make up a whole conditioning; reads no weights.

        Raises:
            InputError: there are none such; ``whom``: who asks.
        """
        raise InputError(
            f"{whom} moves the words of CLIP, where a model reads nothing else, but {self.name} has other"
            " text encoders: choose another"
        )

    def read(self, prompts: list[str]) -> Tensor:
        """Conditionings of prompts that somebody types, who meets the guard there is."""
        return self.encode_prompts(self.guard.texts(self, prompts) if self.guard else prompts)

    @property
    def empty(self) -> Tensor:
        """Conditioning (1, rows, width) of the half of guidance that knows no prompt."""
        return self.unconditional.to(self.device)

    @cached_property
    def unconditional(self) -> Tensor:
        """The conditioning of the guidance's other half, (1, rows, width)."""
        return self.encode_prompts([""])

    # latents

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one latent."""
        width, height = self.size
        side = autoencoder.reduction(self.components.vae)
        return self.components.vae["latent_channels"], height // side, width // side

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of a picture in pixels.

        Raises:
            InputError: a size that the networks cannot have.
        """
        side = autoencoder.reduction(self.components.vae)
        width, height = self.own_size or (n * side for n in self.trained_size)
        step = side * self.PATCH
        if width <= 0 or height <= 0 or width % step or height % step:
            raise InputError(
                f"model.size is {width} x {height}: {self.name} draws multiples of {step} pixels"
            )
        return width, height

    # loss

    def predict(self, z_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """What the loss is of, the noise or the velocity (n, c, h, w), at latents and times (n,)."""
        out = self.called(z_t, self.schedule.asked(t), y, self.guidance)
        return self.schedule.predicted(out, z_t, t)

    def loss(self, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Squared error per sample (n,), mean over the latent's values, of the prediction."""
        predicted = self.predict(self.schedule.noised(z, noise, t), t, y)
        return squared(predicted - self.schedule.target(z, noise))

    def training_loss(self, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The loss per sample (n,), with the weights over t that the model was trained with."""
        loss = self.loss(z, y, noise, t)
        return loss if self.loss_weight_cap is None else loss * self.schedule.weights(self.loss_weight_cap, t)

    # drawing

    def scale(self, guidance: float) -> float:
        """Of guidance in two halves."""
        return guidance

    def samples_at(self, guidance: float) -> int:
        """Through the denoiser, for one sample's prediction."""
        return 1 if self.scale(guidance) == 1 else 2

    def walk(
        self, y: Tensor, z: Tensor, *, steps: int, guidance: float, call: sampler.Call | None = None
    ) -> Iterator[Tensor]:
        """The sampler from noise ``z``, with gradients: the latents after each step, see ``sampler.walk``."""
        return sampler.walk(self, y, z, steps, guidance, call)

    @torch.no_grad()
    def denoise(
        self, y: Tensor, z: Tensor, *, steps: int, guidance: float, plms: bool = False
    ) -> Iterator[Tensor]:
        """The same without; at most ``samples_per_call`` samples. ``plms``: see ``Schedule.walk``."""
        yield from sampler.walk(self, y, z, steps, guidance, None, plms)

    def sample(self, y: Tensor, noise: Tensor) -> Tensor:
        """uint8 images (n, 3, H, W) from conditionings (n, rows, width) and noise (n, c, h, w)."""
        return sampler.sample(self, y, noise)

    @property
    def samples_per_call(self) -> int:
        """Pictures denoised at once: guidance puts two samples of each through the denoiser."""
        return max(1, self.batch // 2)

    @property
    def evaluations_per_image(self) -> int:
        """Samples through the denoiser for one picture, at most."""
        guard = self.guard.samples if self.guard else 0
        return self.sampling_steps * self.samples_at(self.guidance) + guard

    # layers

    def layers(self, choice: str | list[str], loaded: bool = True) -> dict[str, nn.Linear]:
        """The linear layers of a choice, ``feed_forward``, ``values``, ``all_values``, or full names.

        ``loaded``: of the denoiser itself; else of one without weights.

        Raises:
            InputError: an unknown choice or name, or one of which the family has no layer.
        """
        return layers_of(self.denoiser if loaded else self.skeleton, self.LAYERS, choice, self.name)

    def first_column(self, layer: str) -> int:
        """Where the columns of a layer begin that are the feed-forward's; before them are another's."""
        return 0
