"""``hydra/launcher=process``: where Hydra looks for launchers."""

from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ProcessLauncher(BasicLauncher):
    """Jobs one after the other, each in a process of its own: what one leaves in memory ends with it."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:  # fmt: skip
        super().setup(hydra_context=hydra_context, task_function=in_a_process, config=config)


def in_a_process(cfg: DictConfig) -> None:
    """The job, in a process that ends with it."""
    from dori.app.launch import launch

    launch(cfg, Path(HydraConfig.get().runtime.output_dir))
