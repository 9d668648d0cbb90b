"""One rank of a job, or a job in a process of its own: ``python -m dori.app.rank FOLDER``, by ``launch``."""

import json
import logging.config
import os
import sys
import threading
import traceback
from pathlib import Path

from omegaconf import OmegaConf

from dori.app.main import quiet, study, work
from dori.core.config import build
from dori.core.errors import Failure, InputError
from dori.core.ranks import joined
from dori.core.stopping import Stopped, listen


def main(folder: Path) -> int:
    """Do the job that lies in ``folder``, as a rank of it or all by itself; returns the exit status."""
    listen()  # another rank may fail: this one is told to end, and tells its logger
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    job = json.loads((folder / "job.json").read_text())
    cfg, output = OmegaConf.create(job["config"]), Path(job["output"])
    rank = os.environ.get("LOCAL_RANK")
    if job.get("logging") and rank in (None, "0"):
        logging.config.dictConfig(job["logging"])
    try:
        if rank is None:
            study(cfg, output)
            return 0
        quiet()
        with joined(build(cfg.trainer)(), folder) as place:
            work(cfg, output, leads=place == 0)
        return 0
    except Exception as error:
        told = {"type": type(error).__name__, "text": str(error)}
        (folder / f"error-{rank or 0}.json").write_text(json.dumps(told))
        if not isinstance(error, InputError | Failure):
            traceback.print_exc()
        return 1


def _end_with_launcher() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the launcher is gone
    os._exit(1)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except Stopped as stopped:
        os._exit(int(stopped.code or 1))  # whoever told it says so
