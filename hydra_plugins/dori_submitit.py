"""``hydra/launcher=slurm`` and ``submitit_local``: where Hydra looks for launchers; needs dori[slurm]."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus


class Patient:
    """submitit's launcher, for whom a job that fails is one that failed, and the others go on.

    The plugin's own ends with the first job that was killed, and a job in which the study failed is one
    that SLURM calls completed.
    """

    def __call__(self, *arguments: Any, **named: Any) -> JobReturn:
        """Within the job: what failed is raised, so that the process, and with it SLURM's job, fails."""
        returned = super().__call__(*arguments, **named)  # type: ignore[misc]
        if returned.status != JobStatus.COMPLETED:
            raise RuntimeError("the job failed, as said above")
        return returned

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """All jobs are queued at once, and waited for.

        Raises:
            InputError: what the scheduler says where it takes no job.
        """
        from dori.core.errors import InputError

        folder = Path(str(self.config.hydra.sweep.dir))  # type: ignore[attr-defined]
        count = len(job_overrides)
        numbers = range(initial_job_idx, initial_job_idx + count)
        words = [list(words) for words in job_overrides]
        ids, state = [f"job_id_for_{n}" for n in numbers], [Singleton.get_state()] * count
        try:
            jobs = self._executor().map_array(self, words, ["hydra.sweep.dir"] * count, numbers, ids, state)
        except Exception as error:
            raise InputError(f"no job was queued: {_last_line(error)}; {HELP}") from error
        where = folder / ".submitit" / jobs[0].job_id
        print(f"{count} jobs queued from {jobs[0].job_id} on; the first one's log is in {where}", flush=True)
        print(f"they go on without this process: then `dori merge {folder}`", flush=True)
        return [self._outcome(job, folder / str(n)) for job, n in zip(jobs, numbers, strict=True)]

    def _executor(self) -> Any:
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

        kind: str = self._EXECUTOR  # type: ignore[attr-defined]
        settings = {
            key if key in BaseQueueConf.__dataclass_fields__ else f"{kind}_{key}": value
            for key, value in self.params.items()  # type: ignore[attr-defined]
        }
        made = {key: settings.pop(key) for key in (f"{kind}_max_num_timeout",) if key in settings}
        executor = submitit.AutoExecutor(settings.pop("submitit_folder"), cluster=kind, **made)
        executor.update_parameters(**settings)
        return executor

    def _outcome(self, job: Any, folder: Path) -> JobReturn:
        from submitit.core.utils import FailedJobError

        from dori.app.jobs import write_failure

        job.wait()
        if (error := job.exception()) is None:
            return job.results()[0]
        if not isinstance(
            error, FailedJobError
        ):  # cancelled, killed, out of time: it could not say so itself
            write_failure(folder, f"{job.state}, without a word of its own; its log is {job.paths.stderr}")
        returned = JobReturn(status=JobStatus.FAILED)
        returned.return_value = error
        return returned


HELP = (
    "see hydra.launcher.partition, account, gpus_per_node (0 without GPUs), timeout_min,"
    " and conf/hydra/launcher/slurm.yaml for the others"
)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


try:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher, SlurmLauncher
except ImportError:  # without dori[slurm]
    pass
else:

    class Local(Patient, LocalLauncher):
        """A process for each job, all at once."""

    class Slurm(Patient, SlurmLauncher):
        """A job of SLURM's for each."""
