"""Runs of the plan: started as a user would, each in a folder of its own, with what it took."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dori.core.config import PACKAGE
from dori.core.errors import InputError
from dori.core.files import write_atomically
from dori.core.fingerprints import digest_file
from dori.reproduce.entries import Entry

WEIGHTS = PACKAGE / "minnow/weights"
TOLD, OUTPUT = "reproduced.json", "output.txt"


def weights() -> str:
    """The first digits of the SHA-256 of all of minnow's weights."""
    files = sorted(WEIGHTS.rglob("*.safetensors"))
    text = "".join(digest_file(file) for file in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Runs:
    """The runs below a folder; ``again`` takes none of them for finished."""

    def __init__(self, folder: Path, again: bool = False):
        self.root, self.again, self.weights = folder.resolve(), again, weights()

    def folder(self, name: str) -> Path:
        """Where a run lies."""
        return self.root / name

    def told(self, name: str) -> dict[str, Any]:
        """What a run took: command, weights, version, date, seconds, cores; empty if it never ended."""
        path = self.folder(name) / TOLD
        return json.loads(path.read_text()) if path.exists() else {}

    def ready(self, entry: Entry) -> bool:
        """Whether all runs that it shows have ended."""
        return all(self.told(name) for name in entry.runs)

    def finished(self, entry: Entry) -> bool:
        """Whether its own run has ended: with this command, on these weights."""
        told = self.told(entry.name)
        return (told.get("command"), told.get("weights")) == (entry.command, self.weights)

    def run(self, entry: Entry) -> None:
        """Run it, unless it is finished; seconds of attempts that were killed are added.

        Raises:
            InputError: it failed; its output is kept.
        """
        if self.finished(entry) and not self.again:
            return
        folder = self.folder(entry.name)
        folder.mkdir(parents=True, exist_ok=True)
        spent, start = folder / "seconds.json", time.monotonic()
        before = json.loads(spent.read_text()) if spent.exists() else 0.0
        with (folder / OUTPUT).open("w") as output:
            run = words(str(entry.command), folder)
            done = subprocess.Popen(run, stdout=output, stderr=subprocess.STDOUT)
            while not _ended(done):
                write_atomically(spent, json.dumps(before + time.monotonic() - start))
        if done.returncode:
            last = (folder / OUTPUT).read_text().strip().splitlines()[-1:]
            raise InputError(f"{entry.name} failed, see {folder / OUTPUT}: {''.join(last)}")
        told = {
            "command": entry.command, "weights": self.weights, "version": version("dori"),
            "date": f"{datetime.now(UTC):%-d %B %Y}", "seconds": before + time.monotonic() - start,
            "cores": len(os.sched_getaffinity(0)),
        }  # fmt: skip
        spent.unlink(missing_ok=True)
        write_atomically(folder / TOLD, json.dumps(told, indent=1) + "\n")


def _ended(process: subprocess.Popen) -> bool:
    """Whether it ends within ten seconds."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        return False
    return True


def words(command: str, folder: Path) -> list[str]:
    """The process of a command: ``dori ...`` in its folder, or ``python FILE ...`` with this Python."""
    first, *rest = shlex.split(command)
    if first == "python":
        return [sys.executable, *rest]
    places = [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
    return [sys.executable, "-m", "dori", *rest, *places]
