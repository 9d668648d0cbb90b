"""What a setting names that is neither a file nor a folder here: a repository of the hub."""

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from dori.core.environment import OFFLINE, is_set
from dori.core.errors import InputError


def is_hub_id(given: str) -> bool:
    """Whether it may be one: an owner and a name, and no path."""
    return given.count("/") == 1 and not given.startswith((".", "/", "~"))


def downloaded(setting: str, given: str, place: str, **what: Any) -> Path:
    """The folder with ``what`` is wanted of a hub id, see ``huggingface_hub.snapshot_download``.

    Raises:
        InputError: it cannot be had; ``place``: what it might be instead.
    """
    try:
        return Path(snapshot_download(given, local_files_only=is_set(OFFLINE), **what))
    except Exception as error:  # of many kinds, by several libraries
        raise InputError(f"{setting} {given!r} is no {place} and no reachable hub id: {error}") from error
