"""Stages: results kept under a fingerprint of everything that they depend on.

A stage's folder is ``<cache>/<name>/<fingerprint>``. It is filled as ``<fingerprint>.partial``, so
that a killed stage finds its finished parts again, and renamed once its ``done.json`` (hashes of all
files) is written. A folder that does not match its ``done.json`` is never used.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dori
from dori.distributed import once

log = logging.getLogger(__name__)
Info = dict[str, Any]


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256, 24 hex digits, of a JSON-able value; raises TypeError on anything else."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def code_version(package: str) -> str:
    """Hash of the sources of a package of dori (``attacks``) or one module (``stages.py``)."""
    root = Path(dori.__file__).parent / package
    files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
    return fingerprint([digest_file(file) for file in files])


@dataclass(frozen=True)
class Result:
    """A finished stage. ``info``: what it counted, e.g. ``unet_evaluations``."""

    name: str
    folder: Path
    fingerprint: str
    info: Info
    cached: bool
    seconds: float


@dataclass
class Stages:
    """The stages of one run, in order, over a cache folder that runs share.

    ``shared`` enters every fingerprint: what all stages depend on (precision, library versions).
    """

    root: Path
    shared: Info = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        libraries = {name: version(name) for name in ("torch", "diffusers", "transformers")}
        self.shared = {**self.shared, "libraries": libraries}

    def run(
        self, name: str, inputs: Info, code: list[str], compute: Callable[[Path], Info], label: str = "",
        by_all: bool = False,
    ) -> Result:  # fmt: skip
        """The stage's result from the cache, or computed.

        ``compute(folder)`` fills the folder and returns what it counted. Where the folder has files
        already, an earlier attempt was killed: ``compute`` may keep those that are whole.

        ``by_all``: every rank computes, because a trainer deals out the work; else rank 0, for all.
        """
        (result,) = self.together(
            name, {label or name: inputs}, code, lambda folders: [compute(*folders.values())], by_all
        )
        return result

    def together(
        self, name: str, inputs: dict[str, Info], code: list[str],
        compute: Callable[[dict[str, Path]], list[Info]], by_all: bool = False,
    ) -> list[Result]:  # fmt: skip
        """Several results of one stage, each by its label and under its own fingerprint.

        ``compute`` gets the folders of those that are missing, and does them at once.
        """
        start, versions = time.monotonic(), [code_version(package) for package in code]
        keys = {label: fingerprint([name, given, self.shared, versions]) for label, given in inputs.items()}
        folders = {label: self.root / name / key for label, key in keys.items()}
        with ExitStack() as locks:
            infos = once(lambda: _looked_at(folders, locks))
            partial = {label: _partial(folders[label]) for label, info in infos.items() if info is None}
            if partial:
                done = compute(partial) if by_all else once(lambda: compute(partial))
                infos |= zip(partial, done, strict=True)

                def finish() -> None:
                    for label in partial:
                        _finish(folders[label], infos[label], inputs[label])

                once(finish)
        seconds = (time.monotonic() - start) / len(inputs)
        results = [
            Result(label, folders[label], key, infos[label] or {}, label not in partial, seconds)
            for label, key in keys.items()
        ]
        self.results += results
        return results


def _looked_at(folders: dict[str, Path], locks: ExitStack) -> dict[str, Info | None]:
    """What is finished; the rest, now locked, has a folder to be filled."""
    for folder in sorted(folders.values()):  # two runs that want the same ones meet in one order
        folder.parent.mkdir(parents=True, exist_ok=True)
        locks.enter_context(_lock(folder.with_suffix(".lock")))
    infos = {label: _finished(folder) for label, folder in folders.items()}
    for label, info in infos.items():
        if info is None:
            _partial(folders[label]).mkdir(exist_ok=True)
    return infos


def _partial(folder: Path) -> Path:
    return folder.with_suffix(".partial")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _finished(folder: Path) -> Info | None:
    if not folder.exists():
        return None
    try:
        done = json.loads((folder / "done.json").read_text())
        found = {p.name: digest_file(p) for p in folder.iterdir() if p.name != "done.json"}
        if found == done["files"]:
            return done["info"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    log.warning("cache entry %s is damaged: computing it again", folder)
    shutil.rmtree(folder)
    return None


def _finish(folder: Path, info: Info | None, inputs: Info) -> None:
    partial = _partial(folder)
    for left in partial.glob("*.tmp"):  # by an attempt that was killed while writing
        left.unlink()
    (partial / "done.json").unlink(missing_ok=True)
    files = {p.name: digest_file(p) for p in sorted(partial.iterdir())}
    write_atomically(partial / "done.json", json.dumps({"info": info, "files": files, "inputs": inputs}))
    os.replace(partial, folder)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees either the old one or the new one, whole."""
    tmp = path.with_name(path.name + ".tmp")
    tmp.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(tmp, path)
