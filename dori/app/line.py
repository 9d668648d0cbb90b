"""A command line of ``dori`` taken apart without running it: its jobs, and the configuration of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from dori.app.jobs import with_one_of
from dori.app.overrides import checked, composed, folder_of, places
from dori.core.errors import InputError


@contextmanager
def as_job(cfg: DictConfig, folder: Path) -> Iterator[DictConfig]:
    """A job's part of what Hydra composed; within, Hydra knows of it as of one that runs in ``folder``."""
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(folder)
        cfg.hydra.job.num, cfg.hydra.job.id = 0, "0"
    state, HydraConfig.instance().cfg = HydraConfig.instance().cfg, cfg  # type: ignore[assignment]
    try:
        yield OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    finally:
        HydraConfig.instance().cfg = state


@dataclass(frozen=True)
class CommandLine:
    """Overrides as Hydra reads them; ``config_dir``: a folder of options besides dori's."""

    words: list[str]
    config_dir: str | None = None
    multirun: bool = False

    @classmethod
    def read(cls, arguments: list[str]) -> "CommandLine":
        """Raises InputError for what does not exist, as ``dori`` itself does."""
        known, rest = get_args_parser().parse_known_args(checked(arguments))
        return cls([*known.overrides, *rest], known.config_dir, known.multirun)

    @cached_property
    def overrides(self) -> list[Override]:
        """The overrides of the command line."""
        return OverridesParser.create().parse_overrides(self.words)

    @cached_property
    def folders(self) -> list[Path]:
        """Where options lie besides dori's own."""
        return [folder_of(place) for place in self._places]

    @cached_property
    def whole(self) -> DictConfig:
        """The configuration with what is not swept, and Hydra's own below ``hydra``."""
        fixed = [str(word.input_line) for word in self.overrides if not word.is_sweep_override()]
        return self.composed(fixed)

    @cached_property
    def swept(self) -> dict[str, list[str]]:
        """What the jobs of a multirun go through: the values of each key."""
        found = {word.get_key_element(): word for word in [*self._of_sweeper, *self.overrides]}
        return {
            key: list(map(str, word.sweep_string_iterator()))
            for key, word in found.items() if word.is_sweep_override()
        }  # fmt: skip

    @cached_property
    def jobs(self) -> list[list[str]]:
        """The overrides of each job; there is one where neither ``-m`` nor the configuration says more.

        Raises:
            InputError: several values of a key without ``-m``.
        """
        if self.multirun or self.whole.hydra.mode == RunMode.MULTIRUN:
            (jobs,) = BasicSweeper.split_arguments([*self._of_sweeper, *self.overrides], None)
            return with_one_of(self.whole.hydra.sweeper.get("alone") or (), jobs)
        if own := [word.input_line for word in self.overrides if word.is_sweep_override()]:
            raise InputError(f"{', '.join(map(str, own))}: several values make several jobs: say -m")
        return [self.words]

    @contextmanager
    def job(self, words: list[str]) -> Iterator[DictConfig]:
        """A job's configuration, but for the number and the folder that it does not have."""
        with as_job(self.composed(words), Path.cwd()) as cfg:
            yield cfg

    def composed(self, words: list[str]) -> DictConfig:
        """The configuration of some overrides, with Hydra's own."""
        return composed(words, self._places, with_hydra=True)

    @property
    def _of_sweeper(self) -> list[Override]:
        """What a sweep in a file goes through, unless the command line says otherwise."""
        params: Any = self.whole.hydra.sweeper.get("params") or {}
        return OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()])

    @property
    def _places(self) -> list[str]:
        return places(self.overrides, self.config_dir)
