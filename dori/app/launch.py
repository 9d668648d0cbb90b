"""Starts the ranks of a job, watches them, and ends them all when one fails."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import ParallelStrategy
from omegaconf import DictConfig, OmegaConf

from dori.app.beside import check_started_once
from dori.core.config import build
from dori.core.errors import Failure, InputError

RANK = "dori.app.rank"
GRACE = 15  # seconds in which ranks that are told to end keep what they have, and tell the logger
MEETING = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
PLACE = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", *MEETING)


class RankFailed(Failure):
    """A process of a job ended with an error, or was killed."""


def ranks_here(cfg: DictConfig) -> int:
    """How many ranks the trainer asks for on this node; none where the job is a single process.

    Raises:
        InputError: devices that are not there, several nodes that do not know of each other or of one
            folder, or a job that was started several times on this node.
    """
    try:
        trainer = build(cfg.trainer)()
    except (MisconfigurationException, TypeError, ValueError) as error:
        asked = f"trainer.accelerator={cfg.trainer.accelerator} trainer.devices={cfg.trainer.devices}"
        raise InputError(f"{asked} cannot be had: {' '.join(str(error).split())}") from error
    if not isinstance(trainer.strategy, ParallelStrategy):
        return 0
    if trainer.world_size > 1:
        check_started_once(trainer.num_devices)
    if trainer.num_nodes > 1:
        _check_folder()
    if trainer.num_nodes > 1 and "SLURM_NODEID" not in os.environ:
        missing = [name for name in MEETING if name not in os.environ]
        if missing:
            raise InputError(
                f"trainer.num_nodes={trainer.num_nodes} needs {', '.join(missing)} in the environment of each"
                " node, or hydra/launcher=slurm"
            )
    return trainer.num_devices


def _check_folder() -> None:
    """Each node composes its configuration: without a word they would have a folder each."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.RUN:
        return
    if not any(word.startswith("hydra.run.dir=") for word in HydraConfig.get().overrides.hydra):
        raise InputError("the nodes of one job share its folder: name it, hydra.run.dir=FOLDER")


def launch(cfg: DictConfig, output: Path, ranks: int = 0) -> None:
    """Runs a job as so many ranks on this node; as 0, in a process of its own that does all by itself.

    Raises:
        InputError: what a rank found wrong with the input.
        RankFailed: a rank failed for any other reason.
    """
    with tempfile.TemporaryDirectory(prefix="dori-") as name, ExitStack() as files:
        folder = Path(name)
        job = {"output": str(output), "config": detached(cfg), "logging": _logging()}
        (folder / "job.json").write_text(json.dumps(job))
        started: list[subprocess.Popen] = []
        try:
            meeting = _meeting(cfg)
            first = int(meeting.get("NODE_RANK", 0)) * ranks
            for rank in range(max(ranks, 1)):
                log = files.enter_context((output / f"rank-{first + rank}.log").open("w")) if rank else None
                local = {"LOCAL_RANK": str(rank)} if ranks else {}
                started.append(_start(folder, meeting | local, log, max(ranks, 1)))
            _watch(started, folder)
        finally:
            _end(started)


def _logging() -> Any:
    """How this job logs, for the process that does its work."""
    if not HydraConfig.initialized():
        return None
    return OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)


def detached(cfg: DictConfig) -> Any:
    """The configuration for another process, JSON-able: without what Hydra alone knows in this one.

    Other references stay references: whoever reads the configuration does not see twice what stands once.
    """

    def known(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: known(inner, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
        if isinstance(value, list):
            return [known(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        return OmegaConf.select(cfg, path) if isinstance(value, str) and "${hydra:" in value else value

    return known(OmegaConf.to_container(cfg), "")


def _meeting(cfg: DictConfig) -> dict[str, str]:
    """What several nodes know of each other; of one job alone, nothing."""
    if int(cfg.trainer.get("num_nodes", 1)) == 1:
        return {}
    known = {name: os.environ[name] for name in MEETING if name in os.environ}
    return known | ({"NODE_RANK": os.environ["SLURM_NODEID"]} if "SLURM_NODEID" in os.environ else {})


def _start(folder: Path, place: dict[str, str], log: IO[str] | None, ranks: int) -> subprocess.Popen:
    """Its standard input is closed when this process ends, however it ends; ranks share the cores."""
    environment = {key: value for key, value in os.environ.items() if key not in PLACE} | place
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // ranks)))
    return subprocess.Popen(
        [sys.executable, "-m", RANK, str(folder)], env=environment, stdin=subprocess.PIPE,
        stdout=log, stderr=subprocess.STDOUT if log else None, start_new_session=True,
    )  # fmt: skip


def _watch(started: list[subprocess.Popen], folder: Path) -> None:
    while None in (ends := [process.poll() for process in started]) and not any(ends):
        time.sleep(0.1)
    failed = [rank for rank, status in enumerate(ends) if status]
    if not failed:
        return
    # the first to fail: one that was killed leaves no word, the others fail for its absence
    reports = {rank: folder / f"error-{rank}.json" for rank in failed}
    first = min(failed, key=lambda rank: reports[rank].stat().st_mtime if reports[rank].exists() else 0)
    status, report = ends[first] or 0, reports[first]
    told = json.loads(report.read_text()) if report.exists() else {}
    if told.get("type") == InputError.__name__:
        raise InputError(told["text"])
    if told.get("type") == Failure.__name__:
        raise Failure(told["text"])
    how = f"was killed ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
    what = f"failed: {told['type']}: {told['text']}" if told else how
    raise RankFailed(
        f"rank {first} of {len(started)} {what}" if len(started) > 1 else f"the job's process {what}"
    )


def _end(started: list[subprocess.Popen]) -> None:
    """Told first, so that their logger is; then with everything that they started."""
    for process in started:
        process.send_signal(signal.SIGTERM)  # nothing to those that have ended
    until = time.monotonic() + GRACE
    while time.monotonic() < until and any(process.poll() is None for process in started):
        time.sleep(0.1)
    for process in started:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()
