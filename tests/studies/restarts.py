"""Runs a study that is killed in every stage and started again: ``python -m ... <json of arguments>``.

One process loads the libraries and forks a child for each attempt, so that a kill is a real one and
an attempt costs no more than its own work. Prints, last, one JSON object: what became of each
attempt, the rows of an uninterrupted run, those of the run that was killed, and of two at a time.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from dori.core.config import build
from dori.core.stages import Result, Stages
from dori.steps.run import Run
from tests.tiny import composed

# (stage, file): killed just before the file-th finished file of that stage gets its name. The last
# two of a stage are done.json and the folder itself.
KILLS = [
    ("images", 2), ("images", 5), ("mask", 1), ("mask", 2), ("attack", 1), ("attack", 2), ("attack", 3),
    ("originals", 1), ("originals", 3), ("features", 1), ("features", 2), ("features", 3), ("reference", 1),
    ("reference", 2),
]  # fmt: skip


def kill_at(stage: str, file: int) -> None:
    """Arms this process: SIGKILL when the stage is about to finish that file."""
    together, replace, now = Stages.together, os.replace, {"stage": "", "files": 0}

    def watched(self: Stages, name: str, *arguments: Any, **named: Any) -> list[Result]:
        now.update(stage=name, files=0)
        return together(self, name, *arguments, **named)

    def counted(source: Any, target: Any) -> None:
        now["files"] += 1
        if (now["stage"], now["files"]) == (stage, file):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    Stages.together, os.replace = watched, counted  # type: ignore[method-assign]


def attempt(overrides: list[str], cache: str, out: Path, kill: tuple[str, int] | None = None) -> int:
    """The status of a child that runs the study and writes its rows, and what it had to compute."""
    return wait(begin(overrides, cache, out, kill))


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def begin(overrides: list[str], cache: str, out: Path, kill: tuple[str, int] | None = None) -> int:
    """The child's process id."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        if kill:
            kill_at(*kill)
        run = Run.configured(composed(*overrides, f"cache={cache}"))
        rows = build(run.cfg.study)(run).rows
        fresh = [result.name for result in run.stages.results if not result.cached]
        out.write_text(json.dumps([json.dumps(rows), fresh]))
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def main(overrides: list[str], folder: str) -> dict[str, Any]:
    out = Path(folder)
    killed = [attempt(overrides, f"{folder}/killed", out / "none", kill) for kill in KILLS]
    last = [
        attempt(overrides, f"{folder}/killed", out / "restarted.json"),
        attempt(overrides, f"{folder}/killed", out / "again.json"),
        attempt(overrides, f"{folder}/whole", out / "whole.json"),
    ]
    # two at a time, each with a budget of its own and one that both want
    sizes = {"one": "[0.1,0.2]", "two": "[0.2,0.4]"}
    ball = ["attack/constraint=l2"]
    both = [
        begin([*overrides, *ball, f"attack.epsilons={size}"], f"{folder}/both", out / f"{name}.json")
        for name, size in sizes.items()
    ]
    last += [wait(child) for child in both]
    names = ("restarted", "again", "whole", *sizes)
    found = {name: json.loads((out / f"{name}.json").read_text()) for name in names}
    return {"killed": killed, "last": last, **found}


if __name__ == "__main__":
    print(json.dumps(main(*json.loads(sys.argv[1]))))
