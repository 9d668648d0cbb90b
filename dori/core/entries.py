"""An entry of the cache on disk: read, begun, finished, removed.

``done.json`` names all files of a finished entry with their hashes, and size and time of each, so that
a file that nobody has touched since need not be hashed again. What does not match it is damaged, and is
removed; what cannot be read (another user's, a network file system that fails) is not.
"""

import json
import logging
import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from dori.core.disk import is_full
from dori.core.errors import InputError
from dori.core.files import as_umask, write_atomically
from dori.core.fingerprints import digest_file
from dori.core.locks import locked

log = logging.getLogger(__name__)
Info = dict[str, Any]
DONE = "done.json"
DAMAGED = ".damaged"  # behind the name of what is being removed
_told: set[Path] = set()  # caches that this process has told of


def find(places: list[Path], locks: ExitStack) -> tuple[Path, Info | None]:
    """A finished entry and what it counted, out of the first of the places that has it.

    Where none has, the first one in which the entry can be made, now locked, with a ``partial`` folder.

    Raises:
        InputError: it can be made in none.
    """
    for folder in places:
        try:
            if (info := read(folder)) is not None:
                _used(folder)
                return folder, info
        except (OSError, ValueError):
            continue  # looked at again below, under the lock
    for folder, other in zip(places, [*places[1:], None], strict=True):
        try:
            return folder, _begun(folder, locks)
        except OSError as error:
            if is_full(error):
                raise
            problem = f"cannot use the cache {folder.parent.parent}: {error.filename}: {error.strerror}"
            if other is None:
                raise InputError(f"{problem}; choose another folder with DORI_CACHE or cache=") from error
            _elsewhere(folder.parent.parent, other.parent.parent, problem)
    raise AssertionError("no place")


def _used(folder: Path) -> None:
    """Its time is when it was last found, which ``dori cache prune`` goes by."""
    with suppress(OSError):  # another user's
        os.utime(folder)


def _elsewhere(root: Path, other: Path, problem: str) -> None:
    """Says once of each cache that what cannot be kept in it is kept in another."""
    if root not in _told:
        _told.add(root)
        log.warning("%s; what is missing is kept in %s", problem, other)


def _begun(folder: Path, locks: ExitStack) -> Info | None:
    """Locks an entry that is to be made; another run may have finished it in the meantime."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        held.enter_context(locked(folder.with_suffix(".lock")))
        try:
            info = read(folder)
        except ValueError:
            log.warning("cache entry %s is damaged: computing it again", folder)
            remove(folder)
            info = None
        if info is None:
            partial(folder).mkdir(exist_ok=True)
            if not os.access(partial(folder), os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(partial(folder)))
        locks.enter_context(held.pop_all())
        return info


def read(folder: Path) -> Info | None:
    """What a finished entry counted; None where there is no entry.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    try:
        done = json.loads((folder / DONE).read_text())
        if not _matches(folder, done["files"], done.get("stats", {})):
            raise ValueError(folder)
        return done["info"] or {}
    except FileNotFoundError as error:
        if folder.exists():
            raise ValueError(folder) from error
        return None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(folder) from error


def _matches(folder: Path, digests: dict[str, str], stats: dict[str, list[int]]) -> bool:
    found = {path.name: path for path in folder.iterdir() if path.name != DONE}
    return found.keys() == digests.keys() and all(
        _stat(path) == stats.get(name) or digest_file(path) == digests[name] for name, path in found.items()
    )


def _stat(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def remove(folder: Path) -> None:
    """Out of the way at once; what another user keeps from being deleted stays under another name."""
    away = folder.with_suffix(DAMAGED)
    if folder != away:  # whose removal failed before
        shutil.rmtree(away, ignore_errors=True)
        os.replace(folder, away)
    shutil.rmtree(away, ignore_errors=True)


def partial(folder: Path) -> Path:
    """Where an entry is filled until it is finished."""
    return folder.with_suffix(".partial")


def finish(folder: Path, info: Info | None, inputs: Info) -> None:
    """Gives an entry that is filled its ``done.json``, then its name."""
    filled = partial(folder)
    for left in filled.glob("*.tmp"):  # by an attempt that was killed while writing
        left.unlink()
    (filled / DONE).unlink(missing_ok=True)
    as_umask(filled)
    paths = sorted(filled.iterdir())
    files, stats = {p.name: digest_file(p) for p in paths}, {p.name: _stat(p) for p in paths}
    done = {"info": info, "files": files, "stats": stats, "inputs": inputs}
    write_atomically(filled / DONE, json.dumps(done))
    os.replace(filled, folder)
