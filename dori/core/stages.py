"""Stages: results kept under a fingerprint of everything that they depend on.

A stage's folder is ``<cache>/<name>/<fingerprint>``. It is filled as ``<fingerprint>.partial``, so
that a killed stage finds its finished parts again, and renamed once its ``done.json`` (hashes of all
files) is written. A folder that does not match its ``done.json`` is never used (``entries``).
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path

from dori.core import entries, progress
from dori.core.code import code_of, module_of
from dori.core.costs import FREE, Cost
from dori.core.disk import CACHE, room
from dori.core.entries import Info
from dori.core.fingerprints import fingerprint
from dori.core.ranks import once

OWN = "~/.cache/dori"  # where goes what cannot be kept in a cache of somebody else's


@dataclass(frozen=True)
class Result:
    """A finished stage. ``info``: what it counted, e.g. ``denoiser_evaluations``."""

    name: str
    folder: Path
    fingerprint: str
    info: Info
    cached: bool
    seconds: float
    made: bool = field(default=True, init=False)  # unlike what a rehearsal has


@dataclass
class Stages:
    """The stages of one run, in order, over a cache folder that runs share.

    A fingerprint is that of the stage's name and inputs, of the code that ``compute`` reaches by its
    imports, see ``dori.core.code``, and of what is ``shared`` by all stages (how the trainer computes). So
    inputs name only what is built by configuration, see ``identity``, and what was computed before.

    ``need``: bytes that the run may write, for the sentence that says that the disk is full.
    """

    root: Path
    shared: Info = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    need: int = 0

    def run(
        self, name: str, inputs: Info, compute: Callable[[Path], Info], label: str = "", by_all: bool = False,
        cost: Cost = FREE,
    ) -> Result:  # fmt: skip
        """The stage's result from the cache, or computed.

        ``compute(folder)`` fills the folder and returns what it counted. Where the folder has files
        already, an earlier attempt was killed: ``compute`` may keep those that are whole.

        ``by_all``: every rank computes, because a trainer deals out the work; else rank 0, for all.
        ``cost``: for who asks beforehand.
        """

        @wraps(compute)  # its code is the stage's
        def alone(folders: dict[str, Path]) -> list[Info]:
            return [compute(*folders.values())]

        (result,) = self.together(name, {label or name: inputs}, alone, by_all, {label or name: cost})
        return result

    def together(
        self, name: str, inputs: dict[str, Info], compute: Callable[[dict[str, Path]], list[Info]],
        by_all: bool = False, costs: dict[str, Cost] | None = None,
    ) -> list[Result]:  # fmt: skip
        """Several results of one stage, each by its label and under its own fingerprint.

        ``compute`` gets the folders of those that are missing, and does them at once.
        """
        with room(self.root, CACHE, self.need):
            return self._together(name, inputs, compute, by_all)

    def _together(
        self, name: str, inputs: dict[str, Info], compute: Callable[[dict[str, Path]], list[Info]],
        by_all: bool,
    ) -> list[Result]:  # fmt: skip
        start, keys = time.monotonic(), self.keys(name, inputs, compute)
        with ExitStack() as locks:
            found = once(lambda: self._found(name, keys, locks))
            folders = {label: Path(folder) for label, (folder, _) in found.items()}
            infos = {label: info for label, (_, info) in found.items()}
            missing = [label for label, info in infos.items() if info is None]
            if cached := [label for label in infos if label not in missing]:
                progress.end(cached, cached=True)
            if missing:
                progress.begin(missing)
                partial = {label: entries.partial(folders[label]) for label in missing}
                done = compute(partial) if by_all else once(lambda: compute(partial))
                infos |= zip(missing, done, strict=True)

                def finish() -> None:
                    for label in missing:
                        entries.finish(folders[label], infos[label], inputs[label])

                once(finish)
                progress.end(missing, cached=False)
        seconds = (time.monotonic() - start) / len(inputs)
        results = [
            Result(label, folders[label], key, infos[label] or {}, label not in missing, seconds)
            for label, key in keys.items()
        ]
        self.results += results
        return results

    def keys(self, name: str, inputs: dict[str, Info], compute: Callable) -> dict[str, str]:
        """The fingerprint of each result, by its label."""
        code = code_of(module_of(compute))
        return {label: fingerprint([name, given, self.shared, code]) for label, given in inputs.items()}

    def _found(self, name: str, keys: dict[str, str], locks: ExitStack) -> dict[str, tuple[str, Info | None]]:
        """Of each label the entry's folder, and what it counted if it is finished."""
        found = {}
        for label, key in sorted(keys.items(), key=lambda item: item[1]):  # runs meet in one order
            folder, info = entries.find([place / name / key for place in self.places], locks)
            found[label] = (str(folder), info)
        return {label: found[label] for label in keys}

    @property
    def places(self) -> list[Path]:
        """A cache that is there, but that one may only read, has the user's own beside it."""
        own = Path(OWN).expanduser()
        return list(dict.fromkeys([self.root, own])) if os.path.isdir(self.root) else [self.root]
