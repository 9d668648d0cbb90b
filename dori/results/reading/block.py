"""A table that is ready to print, whoever prints it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A titled table; ``labels`` counts the leading columns that name a line (set flush left).

    ``head``: the title in two short parts, for where it stands in the first two columns.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    labels: int = 2
    head: tuple[str, str] = ("", "")
