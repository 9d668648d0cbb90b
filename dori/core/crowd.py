"""Whether other programs want this machine's cores, told before a library decides how its threads wait."""

import os
import time
from pathlib import Path
from statistics import median

LOAD = Path("/proc/loadavg")  # Linux's; the fourth field is how many threads run now, and how many there are
LOOKS, PAUSE = 5, 0.01  # seconds between two


def wait_without_spinning_where_crowded() -> None:
    """Sets OpenMP's policy of waiting, which torch reads when it is imported, unless the user has set it.

    Threads that wait for one another by spinning are faster on free cores, by a third on minnow, and where
    others use the cores, too, they are a hundred times slower: a step of 50 ms took six seconds. Results do
    not depend on it.
    """
    if "OMP_WAIT_POLICY" not in os.environ and is_crowded():
        os.environ["OMP_WAIT_POLICY"] = "passive"


def is_crowded(load: Path = LOAD) -> bool:
    """Whether, most of the time of a few looks, another thread than this one runs; no where nobody knows."""
    try:
        return median(_running(load) for _ in range(LOOKS)) > 1
    except (OSError, ValueError, IndexError):
        return False


def _running(load: Path) -> int:
    time.sleep(PAUSE)
    return int(load.read_text().split()[3].partition("/")[0])
