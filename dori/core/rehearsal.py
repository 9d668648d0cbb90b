"""A study gone through without computing anything: which stages it has, which are there, what they cost.

Steps that look into what is not there yet end the rehearsal, see :class:`NotMade`; those that only pass it
on to the next one do not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from dori.core import entries
from dori.core.costs import FREE, Cost
from dori.core.entries import Info
from dori.core.stages import Result, Stages


class NotMade(Exception):
    """A step wants to see what a rehearsal does not compute."""


@dataclass(frozen=True)
class Promise:
    """In the place of a :class:`Result` that is not there."""

    name: str
    fingerprint: str
    made: bool = field(default=False, init=False)

    @property
    def folder(self) -> NoReturn:
        """Raises NotMade."""
        raise NotMade(self.name)

    @property
    def info(self) -> NoReturn:
        """Raises NotMade."""
        raise NotMade(self.name)


@dataclass(frozen=True)
class Planned:
    """A stage that a study has; ``key``: its name and fingerprint, which jobs may share."""

    label: str
    key: tuple[str, str]
    cost: Cost
    cached: bool


@dataclass
class Rehearsal(Stages):
    """Stages that compute nothing; ``planned``: what was asked for, in order."""

    planned: list[Planned] = field(default_factory=list)

    def together(
        self, name: str, inputs: dict[str, Info], compute: Callable[[dict[str, Path]], list[Info]],
        by_all: bool = False, costs: dict[str, Cost] | None = None,
    ) -> list[Any]:  # fmt: skip
        """The results that are in the cache, and promises of the others."""
        found: list[Result | Promise] = []
        for label, key in self.keys(name, inputs, compute).items():
            result = self._there(name, label, key)
            found.append(result or Promise(label, key))
            self.planned.append(Planned(label, (name, key), (costs or {}).get(label, FREE), bool(result)))
        return found

    def _there(self, name: str, label: str, key: str) -> Result | None:
        for place in self.places:
            folder = place / name / key
            try:
                info = entries.read(folder)
            except (OSError, ValueError):
                continue
            if info is not None:
                return Result(label, folder, key, info, cached=True, seconds=0)
        return None
