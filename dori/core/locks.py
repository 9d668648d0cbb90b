"""One run at a time at a cache entry, also on file systems and in folders where that can only be tried."""

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Alone with what the lock file ``path`` stands for; the file goes with the lock.

    Where the file system knows no locks (some NFS, Lustre), the run says so and goes on without.

    Raises:
        OSError: the file is not there and cannot be made.
        BlockingIOError: somebody has the lock, and nobody is to ``wait``.
    """
    while True:
        file = _opened(path)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError as error:
                _cannot_lock(path.parent.parent, error.strerror)
            else:
                if not _named(path, file):
                    continue  # whoever had the lock has removed its file
            yield
            with suppress(OSError):
                path.unlink()
            return
        finally:
            os.close(file)


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that ``make`` fills in another place the first time that anybody asks for it; returns it.

    Raises:
        OSError: it cannot be made where it is to be.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if not folder.is_dir():  # another run may have made it in the meantime
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
                make(partial)
                os.replace(partial, folder)
    return folder


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        try:
            return os.open(path, os.O_RDONLY)  # another user's: to lock it needs no right to write
        except OSError:
            raise error from None


def _named(path: Path, file: int) -> bool:
    """Whether the open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


@cache  # once a process
def _cannot_lock(root: Path, reason: str) -> None:
    log.warning(
        "the cache %s cannot be locked (%s): do not let two jobs use it at the same time, or choose another"
        " folder with DORI_CACHE or cache=", root, reason,
    )  # fmt: skip
