"""What ``evaluation.quality`` holds: a benchmark's prompts, and what is said of the pictures of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from dori.core.errors import InputError, check_positive
from dori.core.parts import Part
from dori.data.rows import refuse
from dori.data.tables import read_table
from dori.metrics.intervals import Estimate

if TYPE_CHECKING:
    from dori.steps.run import Run

Scores = dict[str, Tensor]  # of n prompts, (n, pictures of each, ...) each


class Suite(Protocol):
    """A set of prompts and a score of their pictures; its name is that of its node in ``evaluation.quality``.

    ``images``: pictures of each prompt; ``batch``: pictures looked at once.
    """

    images: int
    batch: int

    @property
    def prompts(self) -> list[str]:
        """In their order, which the pictures have, too."""
        ...

    @property
    def networks(self) -> list[nn.Module]:
        """What looks at pictures, built at the first use."""
        ...

    def check(self) -> None:
        """Open every file, and read no weights. Raises InputError."""
        ...

    def describe(self, images: Tensor, prompts: list[str]) -> Scores:
        """Of uint8 images (n, 3, H, W), one for each prompt: tensors (n, ...)."""
        ...

    def metrics(self, run: "Run", own: Part[Any], drawn: Sequence[Scores]) -> list[dict[str, Estimate]]:
        """Of each model's pictures, the untouched model's first; ``own``: the suite and its node."""
        ...


def listed(path: str | Path, count: int | None = None) -> list[str]:
    """The prompts of a table, or of a text with one a line; the first ``count`` of them.

    Raises:
        InputError: no such table, an empty prompt, or fewer of them.
    """
    source = Path(path)
    rows = list(read_table(source).values())
    problems: dict[str, list[str]] = {row.where: [] for row in rows}
    found = [row.text("prompt", problems[row.where]) for row in rows]
    refuse(source, problems)
    if count is None:
        return found
    check_positive("count", count)
    if len(found) < count:
        raise InputError(f"{source} has {len(found)} prompts, and count is {count}: set it to fewer")
    return found[:count]
