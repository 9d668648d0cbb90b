"""A part of a job, such as its attack, as it goes through the house: once, knowing how it was configured."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from omegaconf import DictConfig, OmegaConf

from dori.core.fingerprints import identity
from dori.core.settings import settings

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """What was built from a node of the configuration, and that node; ``where`` it is: ``study.other``."""

    made: T
    node: DictConfig
    where: str

    @classmethod
    def at(cls, cfg: DictConfig, where: str, made: T) -> "Part[T]":
        """What was built from the node at ``where``, by Hydra or whoever."""
        return cls(made, OmegaConf.select(cfg, where), where)

    @property
    def name(self) -> str:
        return str(self.node.name)

    @cached_property
    def identity(self) -> Any:
        """What it *is*, for fingerprints: see ``dori.core.fingerprints``."""
        return identity(self.node)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that it was told, for rows: see ``dori.core.settings``."""
        return settings(self.node, self.where)
