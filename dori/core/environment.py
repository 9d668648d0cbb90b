"""What the environment allows of the network."""

import os

OFFLINE = "DORI_OFFLINE"  # nothing is fetched
PRIVATE = (
    "DORI_PRIVATE_ADDRESSES"  # what is fetched may come from inside a private network, and without https
)


def is_set(name: str) -> bool:
    """Whether it says yes: ``DORI_OFFLINE=1``."""
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no")
