"""What a study returns: all that it made."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dori.steps.subjects import Attacked, Subject


@dataclass(frozen=True)
class Outcome:
    """Rows of the contract and a frame with one line per image; what they came from, to be handed out.

    ``triggers``: the attacks whose triggers a reader may want; ``mitigated``: the model that was under test.
    """

    rows: list[dict[str, Any]]
    images: pd.DataFrame
    triggers: list[Attacked] = field(default_factory=list)
    mitigated: Subject | None = None
