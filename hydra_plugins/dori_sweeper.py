"""``hydra/sweeper=dori``: where Hydra looks for sweepers."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from omegaconf import DictConfig, OmegaConf

from dori.core.errors import Failure, InputError


class DoriSweeper(BasicSweeper):
    """Hydra's own, but nothing begins before all jobs are known to be right, and callbacks hear the end.

    Hydra's ends with the first error of a batch. This one tries all jobs and exits with 1 where one failed:
    why it did is told by the callback (``dori.app.multirun``), which merges what there is.

    Args:
        alone: groups of which a job takes one at most; the jobs with more are left out of the grid.
    """

    def __init__(
        self, max_batch_size: int | None, params: dict[str, str] | None = None, alone: Sequence[str] = ()
    ) -> None:
        super().__init__(max_batch_size, params)
        self.alone = alone

    def sweep(self, arguments: list[str]) -> Any:
        from dori.app.jobs import with_one_of, write_jobs

        assert self.config is not None and self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (everything,) = self.split_arguments(overrides, None)
        jobs = with_one_of(self.alone, everything)
        batches = list(self.split_overrides_to_chunks(jobs, self.max_batch_size or len(jobs)))
        for batch in batches:
            self.validate_batch_is_legal(batch)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        write_jobs(folder, jobs)
        try:
            returned = self._launched(batches)
            if all(job.status == JobStatus.COMPLETED for job in returned):
                return returned
            ended: BaseException = SystemExit(1)
        except BaseException as error:
            ended = error
        self.hydra_context.callbacks.on_multirun_end(config=self.config)
        raise ended

    def _launched(self, batches: list[list[list[str]]]) -> list:
        assert self.launcher is not None
        returned: list = []
        try:
            for batch in batches:
                returned += self.launcher.launch(batch, initial_job_idx=len(returned))
        except (InputError, Failure):
            raise
        except Exception as error:  # the launcher's own: a worker was killed, say
            raise Failure(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
        return returned

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Raises InputError with what is wrong, job by job."""
        from dori.app.jobs import check_all
        from dori.app.main import configured

        check_all([list(overrides) for overrides in batch], self._job, configured)

    def _job(self, overrides: list[str]) -> AbstractContextManager[DictConfig]:
        """A job's configuration, but for the number and folder that it does not have yet."""
        from dori.app.line import as_job

        assert self.hydra_context is not None and self.config is not None
        cfg = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        return as_job(cfg, Path(self.config.hydra.sweep.dir))
