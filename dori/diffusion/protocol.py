"""What everything outside of this folder knows of a model: no word of how one is built.

Conditioning is one tensor (n, rows, width), see ``conditioning``; a time is a whole number, see
``schedules``; z are scaled latents (n, c, h, w).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor

from dori.diffusion.conditioning import Rows
from dori.diffusion.networks import Networks
from dori.diffusion.schedules import Schedule

if TYPE_CHECKING:
    from dori.diffusion.words import Words

Call = Callable[..., Tensor]


class Diffusion(Networks, Protocol):
    """A text-to-image model; ``dori.diffusion`` has a class for each family.

    ``values_read_text``: whether the layers ``values`` are given the sequence itself, whatever the image.
    """

    values_read_text: ClassVar[bool]

    @property
    def rows(self) -> Rows:
        """What the rows of a conditioning are."""
        ...

    @property
    def schedule(self) -> Schedule:
        """What a time is, and what comes of noise."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a picture in pixels."""
        ...

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        ...

    # conditioning
    def check_prompts(self, prompts: list[str], sources: list[str] | None = None) -> None:
        """Raises InputError: a prompt that is too long, with its source."""
        ...

    def cut(self, prompts: list[str]) -> int:
        """How many of the prompts are cut."""
        ...

    def content(self, prompts: list[str]) -> Tensor:
        """Which rows are a prompt's own words, boolean (n, rows)."""
        ...

    def encode_prompts(self, prompts: list[str]) -> Tensor:
        """Conditionings (n, rows, width)."""
        ...

    def read(self, prompts: list[str]) -> Tensor:
        """The same of prompts that meet the guard there is."""
        ...

    @property
    def empty(self) -> Tensor:
        """Conditioning (1, rows, width) of the half of guidance without a prompt."""
        ...

    @property
    def tokenizer(self) -> Any:
        """Of the words that a person writes."""
        ...

    def words(self, whom: str) -> "Words":
        """What moves words; raises InputError, in the name of ``whom``, where nothing can."""
        ...

    # pictures, loss and sampler
    def encode_images(self, images: Tensor) -> Tensor:
        """Latents of uint8 images (n, 3, H, W)."""
        ...

    def predict(self, z_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """What the loss is of, at latents and times (n,)."""
        ...

    def loss(self, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The model's own loss, per sample (n,)."""
        ...

    def training_loss(self, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The same with its training's weights over t."""
        ...

    def walk(
        self, y: Tensor, z: Tensor, *, steps: int, guidance: float, call: Call | None = None
    ) -> Iterator[Tensor]:
        """The sampler's latents, step by step, with gradients."""
        ...

    def denoise(
        self, y: Tensor, z: Tensor, *, steps: int, guidance: float, plms: bool = False
    ) -> Iterator[Tensor]:
        """The same without; ``plms``: by the sampler of Stable Diffusion 1.4's pipeline."""
        ...

    def sample(self, y: Tensor, noise: Tensor) -> Tensor:
        """uint8 images (n, 3, H, W) from conditionings and noise."""
        ...

    def samples_at(self, guidance: float) -> int:
        """Through the denoiser, for one sample's prediction at a guidance."""
        ...

    @property
    def samples_per_call(self) -> int:
        """Pictures denoised at once."""
        ...

    @property
    def evaluations_per_image(self) -> int:
        """Samples through the denoiser for one picture, at most."""
        ...
