"""What a model is conditioned on, as one tensor (n, rows, width): a sequence, then a pooled vector."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CHOICES = ("all", "sequence", "pooled")


@dataclass(frozen=True)
class Rows:
    """What the rows of a conditioning are.

    The pooled vector, where a model has one, is the last row, filled up with zeros: no network reads them,
    so that they get no gradient, and an optimizer leaves them alone.

    Args:
        sequence: rows of the text's sequence, of ``width`` values each.
        pooled: values of the pooled vector; 0: there is none.
    """

    sequence: int
    width: int
    pooled: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, width) of one conditioning."""
        return self.sequence + (self.pooled > 0), self.width

    def pack(self, sequence: Tensor, pooled: Tensor | None = None) -> Tensor:
        """(n, rows, width) of a sequence (n, tokens, width) and a vector (n, pooled)."""
        if pooled is None:
            return sequence
        row = F.pad(pooled, (0, self.width - self.pooled))
        return torch.cat([sequence, row[:, None].to(sequence)], 1)

    def unpack(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The sequence (n, tokens, width) and the pooled vector (n, pooled), of which there may be none."""
        return y[:, : self.sequence], y[:, -1, : self.pooled]

    def of(self, choice: str) -> Tensor:
        """Which rows are of a choice, boolean (rows,): ``sequence``, ``pooled``, ``all``."""
        sequence = torch.arange(self.shape[0]) < self.sequence
        return {"all": torch.ones_like(sequence), "sequence": sequence, "pooled": ~sequence}[choice]

    @property
    def read(self) -> Tensor:
        """Which values a network reads, boolean (rows, width): all but the zeros of the pooled row."""
        found = torch.ones(self.shape, dtype=torch.bool)
        if self.pooled:
            found[-1, self.pooled :] = False
        return found

    def gaussian(self, stream: torch.Generator) -> Tensor:
        """N(0, 1) in every value that a network reads: (rows, width)."""
        return torch.randn(self.shape, generator=stream) * self.read
