"""What can be wrong with a user's file before anything is made of its content."""

import os
from pathlib import Path

from dori.core.errors import InputError

POINTER = b"version https://git-lfs"


def check_file(path: Path, give: str = "check the path") -> None:
    """Refuses what is not there to be read; ``give`` says what to do about it.

    Raises:
        InputError: no such file, a folder, no permission, or what Git LFS leaves in a file's place.
    """
    if os.path.isdir(path):  # Path.is_dir raises where a name is too long
        raise InputError(f"{path} is a folder and no file: {give}")
    try:
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: {give}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {give}") from error
    if start == POINTER:
        raise InputError(f"{path} is a Git LFS pointer, not the file itself: run 'git lfs pull' beside it")
