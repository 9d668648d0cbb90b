"""What stands between whoever asks and the sampler, in a mitigation that leaves the weights alone."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from dori.data import Data
    from dori.diffusion.protocol import Diffusion


class Guard(Protocol):
    """One mitigation at inference; ``dori.defenses.guards.sampling`` has them.

    ``samples``: through the denoiser for one picture, at most, that it adds.
    """

    @property
    def samples(self) -> int: ...

    def check(self, diffusion: "Diffusion", data: "Data") -> None:
        """Raises InputError: what this model does not have. Reads no weights."""
        ...

    def texts(self, diffusion: "Diffusion", prompts: list[str]) -> list[str]:
        """The prompts that are read in place of those given."""
        ...

    def embeddings(self, diffusion: "Diffusion", y: Tensor, z: Tensor) -> Tensor:
        """The embeddings (n, rows, width) that the sampler is given in place of ``y``, at noise ``z``."""
        ...

    def sampling(self, diffusion: "Diffusion") -> AbstractContextManager[None]:
        """Around the sampler."""
        ...
