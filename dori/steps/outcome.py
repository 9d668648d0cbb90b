"""What a study returns: all that it made."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from dori.steps.subjects import Attacked, Subject


class Pages(Protocol):
    """A study's own report, in the place of the grid, the table and the report of the others.

    ``files``: names of what ``write`` leaves in a folder, first the page to open; ``lines``: for a terminal.
    """

    @property
    def files(self) -> tuple[str, ...]: ...

    @property
    def lines(self) -> list[str]: ...

    def write(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """Rows of the contract and a frame with one line per image; what they came from, to be handed out.

    ``triggers``: the attacks whose triggers a reader may want; ``mitigated``: the model that was under test.
    ``pages``: the study's own report, if it has one.
    """

    rows: list[dict[str, Any]]
    images: pd.DataFrame
    triggers: list[Attacked] = field(default_factory=list)
    mitigated: Subject | None = None
    pages: Pages | None = None
