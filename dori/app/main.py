"""The ``dori`` command: one Hydra job, or a multirun of jobs, each one study."""

import gc
import io
import logging
import multiprocessing
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import dori
from dori.app.overrides import checked, groups
from dori.app.verbs import verb
from dori.core.config import CONF, build, check_keys, check_top
from dori.core.errors import Failure, InputError
from dori.core.folders import remove_unused
from dori.core.stopping import Stopped, end_with_parent, leave, listen, pass_on, stoppable

if TYPE_CHECKING:
    from dori.steps.run import Run

COPIES = 3  # the exit code of an audit that found more copies than it may


def quiet() -> None:
    """The libraries' start-up chatter hides the progress bars and the table."""
    from lightning_utilities.core.rank_zero import rank_zero_only

    # said before Lightning looks for a rank in the variables of srun, torchrun and others: a job's own ranks
    # are told by dori.app.rank, and what else a scheduler starts side by side are jobs of their own
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    import lightning  # noqa: F401  sets the levels of its loggers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for text in (
        "does not have many workers", "`torch_dtype` is deprecated", "isinstance\\(treespec",
        "in eval mode at the start of training",  # a network without dropout
        "The `srun` command is available",  # it would start the job twice
    ):  # fmt: skip
        warnings.filterwarnings("ignore", f".*{text}")
    for name in ("diffusers", "transformers", "lightning.pytorch", "lightning.fabric", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def study(cfg: DictConfig, output: Path) -> list[dict]:
    """One job: everything is built and checked, then the study runs. Returns its rows.

    Raises:
        InputError: what is wrong with the configuration, the model, the data or the folder.
    """
    _check(cfg)
    quiet()
    # here, so that a wrong command line is answered before torch is loaded
    from dori.app.launch import launch, ranks_here
    from dori.results.reading.rows import read_rows

    if ranks := ranks_here(cfg):
        launch(cfg, output, ranks)
        return read_rows(output / "rows.json")
    return work(cfg, output)


def _check(cfg: DictConfig) -> None:
    check_top(cfg, [*groups(), *map(str, OmegaConf.load(CONF / "config.yaml"))])
    check_keys(cfg)


def configured(cfg: DictConfig) -> "Run":
    """The parts of a job, built and checked, with nothing begun.

    Raises:
        InputError: what ``study`` would find wrong before its first stage.
    """
    _check(cfg)
    quiet()
    from dori.steps.run import Run

    return Run.configured(cfg)


def work(cfg: DictConfig, output: Path, leads: bool = True) -> list[dict]:
    """The study itself, in this process; of several ranks, the one that ``leads`` writes what comes out."""
    from dori.app.course import Course
    from dori.app.display import displayed
    from dori.app.finish import Job
    from dori.app.plan import foretold
    from dori.steps.run import Run
    from dori.steps.soundness import check_models

    run = Run.configured(cfg)
    gc.freeze()  # what is imported is no garbage, and need not be looked at
    gc.enable()  # see dori.__main__
    if not leads:
        check_models(run.stages, run.diffusion, run.diffusion.twin)
        return build(cfg.study)(run).rows
    course, live = Course(partial(foretold, run)), cfg.trainer.get("enable_progress_bar", True)
    with Job(run, output, course) as job:
        with displayed(course, output, live, job.tracked):
            check_models(run.stages, run.diffusion, run.diffusion.twin)
            outcome = build(cfg.study)(run)
        job.finish(outcome)
    return outcome.rows


def too_many(rows: list[dict], most: int | None) -> bool:
    """Whether an audit found more copies than ``most``; None: any number will do."""
    found = [row["copies"] for row in rows if "copies" in row]
    return most is not None and any(copies > most for copies in found)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _job(cfg: DictConfig) -> None:
    listen()  # also in a process that a launcher started
    end_with_parent()
    job = HydraConfig.get()
    try:
        rows = study(cfg, Path(job.runtime.output_dir))
        if job.mode == RunMode.RUN and too_many(rows, cfg.audit.fail_above):
            sys.exit(COPIES)
    except Stopped as stopped:
        pass_on(stopped)
        stopped.add_note(f"finished stages are kept in {cfg.cache}")
        if multiprocessing.parent_process() is not None:
            leave(stopped)  # a worker of joblib's would wait for its next job
        raise
    except InputError as error:
        if job.mode == RunMode.MULTIRUN:
            raise
        if not any(word.startswith("hydra.run.dir=") for word in job.overrides.hydra):
            remove_unused(Path(job.runtime.output_dir))
        sys.exit(_refuse(str(error)))  # raised, Hydra would print all overrides before it


@stoppable
def main() -> None:
    """A job, a multirun, or a verb such as ``dori list``. Exits with 2, and one sentence, on bad input."""
    # Hydra would swallow what went wrong, and exit by itself
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it speaks when it is imported
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show fails no finished job
    try:
        if "--version" in sys.argv[1:]:
            print(f"dori {dori.__version__}")
            return
        if asked := verb(sys.argv[1:]):
            sys.exit(asked(sys.argv[2:]))
        sys.argv[1:] = checked(sys.argv[1:])
        _job()
    except InputError as error:
        sys.exit(_refuse(str(error)))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_refuse(" ".join(str(error.__cause__ or error).split())))
    except Failure as error:
        _refuse(str(error))
        sys.exit(1)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        sys.exit(_refuse(f"cannot write to {error.filename}: {error.strerror}; choose another folder"))


def _refuse(text: str) -> int:
    print(f"dori: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
