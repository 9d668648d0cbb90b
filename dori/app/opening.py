"""The tracker of a job: which run it is, where its files lie, and that a missing server costs no work."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import OmegaConf

import dori
from dori.app.jobs import planned
from dori.core.config import build
from dori.core.errors import InputError
from dori.core.fingerprints import fingerprint

if TYPE_CHECKING:
    from dori.steps.run import Run

log = logging.getLogger(__name__)
PARTS = ("name", "study", "model", "data", "pruning", "defense", "attack", "evaluation", "seed")
LONGEST, LINE = 64, 128  # characters of a tag, and of a name or a group, by W&B
HASHES = ("model.hash", "model.twin.hash", "data.hash")
STAGED = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")  # where copies wait for what may never be uploaded from here


@contextmanager
def opened(run: "Run", output: Path) -> Iterator[Logger]:
    """The job's logger, started now, so that a job that fails shows as failed.

    W&B that cannot be reached is gone on without, offline, with all files below the job's folder.

    Raises:
        InputError: W&B without a key, or with settings that it refuses.
    """
    if "WandbLogger" not in run.cfg.logger["_target_"]:
        logger = build(run.cfg.logger)
        logger.log_hyperparams(told(run))
        yield logger
        return
    with staged_in(output / "wandb"):
        logger = _started(run)
        logger.log_hyperparams(told(run))
        offline = logger.experiment.offline
        yield logger
    if not offline:  # all is uploaded
        shutil.rmtree(output / "wandb" / "staged", ignore_errors=True)


def _started(run: "Run") -> WandbLogger:
    import wandb  # only where it is used: it takes most of a second
    from wandb.errors import AuthenticationError, CommError, UsageError

    node = run.cfg.logger
    settings: dict[str, Any] = {
        "id": node.get("id") or run_id(run),
        "name": " ".join([str(node.name), *_swept()])[:LINE],
        "group": str(node.get("group") or _group(run))[:LINE],
        "job_type": str(node.get("job_type") or run.settings["study"])[:LONGEST],
        "tags": shortened(node.get("tags") or []),
    }
    try:
        logger = build(node, **settings)
        _ = logger.experiment
    except (UsageError, AuthenticationError, ValueError) as error:
        raise InputError(
            f"logger=wandb: {' '.join(str(error).split()).rstrip('.')}; or set logger.offline=true, and"
            " upload later with wandb sync"
        ) from error
    except CommError as error:
        log.warning("W&B cannot be reached (%s): this job goes on offline", str(error).split("\n")[0])
        wandb.teardown()  # its service believes that the run has begun
        logger = build(node, **settings, offline=True)
        _ = logger.experiment
    return logger


def _group(run: "Run") -> str:
    """Jobs of a multirun share one: its folder's name; a job alone has that of jobs of its name."""
    folder = _multirun()
    return str(run.cfg.name) if folder is None else folder.name


def _multirun() -> Path | None:
    """The folder of the multirun that this job is of."""
    hydra = HydraConfig.get() if HydraConfig.initialized() else None
    return None if hydra is None or hydra.mode != RunMode.MULTIRUN else Path(hydra.sweep.dir)


def _swept() -> list[str]:
    folder = _multirun()
    return [] if folder is None else swept_words(list(HydraConfig.get().overrides.task), planned(folder))


def swept_words(job: list[str], jobs: list[list[str]]) -> list[str]:
    """The settings that tell a job from the others; options of groups stand in its name anyway.

    >>> jobs = [["pruning=wanda", "pruning.ratio=0.1"], ["pruning=wanda", "pruning.ratio=0.2"]]
    >>> swept_words(jobs[0], jobs)
    ['ratio=0.1']
    """
    shared = set(job).intersection(*map(set, jobs))
    pairs = (word.split("=", 1) for word in job if word not in shared)
    return [f"{key.rpartition('.')[2]}={value}" for key, value in pairs if "." in key]


def told(run: "Run") -> dict[str, Any]:
    """What a tracker is told when the job begins: its settings, and what else its results depend on."""
    cfg = OmegaConf.to_container(run.cfg, resolve=True)
    assert isinstance(cfg, dict)
    hashes = {key.replace(".", "/"): run.settings[key] for key in HASHES if key in run.settings}
    return {**flatten(cfg), **hashes, "dori/version": dori.__version__}  # type: ignore[arg-type]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"attack": {"steps": 50}}`` → ``{"attack/steps": 50}``; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@contextmanager
def staged_in(folder: Path) -> Iterator[None]:
    """Offline, copies of pictures stay below ``folder``, unless the environment names a place for them."""
    before = {name: os.environ.get(name) for name in STAGED}
    for name, value in before.items():
        os.environ[name] = value or str(folder / "staged")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def run_id(run: "Run") -> str:
    """The same for jobs of one name whose results are the same, wherever and whenever they run."""
    cfg, data = OmegaConf.to_container(run.cfg, resolve=True), run.data
    assert isinstance(cfg, dict)
    twin = run.diffusion.twin
    pictures = [data.ordinary.identity, data.training.identity if data.training else None]
    return fingerprint([
        *(cfg[part] for part in PARTS), run.cfg.logger.get("group"), run.stages.shared,
        run.diffusion.fingerprint, twin.fingerprint if twin else None,
        [target.identity for target in data.targets], *pictures, run.evaluation.identity,
    ])  # fmt: skip


def shortened(tags: Any) -> list[str]:
    """Tags as W&B takes them: none that is empty, none of more than 64 characters."""
    return list(dict.fromkeys(str(tag)[:LONGEST] for tag in tags if str(tag)))


def tell_how_to_sync(logger: Logger) -> None:
    """Prints how a run that was kept offline is uploaded."""
    run = logger.experiment if isinstance(logger, WandbLogger) else None
    if run is not None and run.offline:
        print(f"W&B, offline: wandb sync {run.settings.sync_dir}")
