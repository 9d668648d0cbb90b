"""Disks that are full: what a run needs, and how it says that there is no room left."""

import errno
import re

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: BaseException) -> bool:
    """Whether an error means that no room, or no quota, is left; some libraries say so in words alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    told = re.search(r"(?:os error|Errno) (\d+)", str(error))
    return told is not None and int(told[1]) in FULL
