"""Disks that are full: how a run says that there is no room left."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dori.core.errors import Failure

FULL = (errno.ENOSPC, errno.EDQUOT)
CACHE = "choose another folder with DORI_CACHE or cache="
JOB = "choose another folder with hydra.run.dir="


@contextmanager
def room(folder: Path, advice: str, need: int = 0) -> Iterator[None]:
    """What is written within is written to ``folder``; ``need``: bytes that the whole run writes there.

    Raises:
        Failure: the disk is full, or the quota used up, whichever library met it.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        wanted = f" of about {amount(need)} that this run writes" if need else ""
        raise Failure(
            f"no room, or no quota, is left in {folder} ({amount(free(folder))} free{wanted}): make room, or"
            f" {advice}; started again, the run goes on from what is finished"
        ) from error


def is_full(error: BaseException | None) -> bool:
    """Whether an error means, or hides, that no room is left; some libraries say so in words alone."""
    if error is None:
        return False
    told = re.search(r"(?:os error|Errno) (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(told[1]) if told else None)
    return number in FULL or is_full(error.__cause__ or error.__context__)


def free(folder: Path) -> int:
    """Bytes that are free where a folder lies, or will lie."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def amount(count: int) -> str:
    """A number of bytes as one reads it.

    >>> amount(18_300_000_000), amount(40_000)
    ('18.3 GB', '40 kB')
    """
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1000:.0f} kB"
