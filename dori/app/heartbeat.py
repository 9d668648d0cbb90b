"""How far a job is, in a file of its folder and, without a terminal, as a line a minute."""

import logging

log = logging.getLogger(__name__)
PROGRESS = "progress.json"
EVERY = 60  # seconds between two heartbeats


def duration(seconds: float) -> str:
    """How one says it.

    >>> duration(40), duration(130), duration(7000), duration(200_000)
    ('40 s', '2 min', '1 h 57 min', '2 d 8 h')
    """
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86_400
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    if days < 1:
        return f"{int(hours)} h {int(minutes) % 60} min"
    return f"{int(days)} d {int(hours) % 24} h"
