"""What a verdict calls much or little: fixed in the configuration, before anything is measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dori.core.errors import InputError


@dataclass(frozen=True)
class Margins:
    """Thresholds of our own; the reasons stand in conf/config.yaml and in docs/statistics.md.

    Args:
        rate: two rates that differ by less are equivalent.
        control: what a rate must exceed where there are no controls, and from which an attack injects.
        ratio: an image's triggers are no closer where less than this share of the distance is missing.
        near: they are far closer where less than this share of the distance is left.
        fid: FID rises so many times before quality counts as lost.
        width: an interval of a rate that is wider supports no claim about size.

    Raises:
        InputError: one that is not between 0 and 1, or ``fid`` not above 1.
    """

    rate: float = 0.15
    control: float = 0.05
    ratio: float = 0.1
    near: float = 0.5
    fid: float = 1.5
    width: float = 0.4

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            low, high = (1.0, float("inf")) if name == "fid" else (0.0, 1.0)
            if not low < value < high:
                bounds = f"above {low:g}" + (f" and below {high:g}" if high < float("inf") else "")
                raise InputError(f"margins.{name} must be {bounds}, but is {value}")

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Margins":
        """Those of a row, which tells ``margins.rate`` and so on; the defaults where it tells none."""
        told = {field.name: params.get(f"margins.{field.name}") for field in fields(cls)}
        return cls(**{name: value for name, value in told.items() if value is not None})
