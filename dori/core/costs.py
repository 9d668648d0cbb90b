"""What a stage costs: a word of every step, apart from how stages are kept and shown."""

from typing import NamedTuple


class Cost(NamedTuple):
    """Samples through the denoiser that a stage takes, about: forward alone, and forward and backward."""

    forward: int = 0
    gradient: int = 0

    @property
    def weight(self) -> int:
        """In forward passes: a backward pass costs two."""
        return self.forward + 3 * self.gradient

    def and_also(self, other: "Cost") -> "Cost":
        """Both, one after the other."""
        return Cost(self.forward + other.forward, self.gradient + other.gradient)


FREE = Cost()
