"""Where files are written: whole or not at all, and with the rights that the umask gives.

Libraries write some files for their owner alone (safetensors 0600); a cache and what is handed out are
for others, too.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """``write`` a temporary file, then give it its name at once: a reader sees the old one or the new one."""
    tmp = path.with_name(path.name + ".tmp")
    mode = _made(tmp)
    write(tmp)
    _set_mode(tmp, mode)
    os.replace(tmp, path)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8."""
    replace_file(path, lambda tmp: tmp.write_bytes(content.encode() if isinstance(content, str) else content))


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: dict[str, str] | None = None) -> None:
    """A safetensors file."""
    from safetensors.torch import save_file

    replace_file(path, partial(save_file, dict(tensors), metadata=metadata))


def as_umask(folder: Path) -> None:
    """What a library wrote below a folder gets the rights of any new file."""
    probe = folder / "rights.tmp"
    mode = _made(probe)
    probe.unlink()
    for file in folder.rglob("*"):
        if file.is_file():
            _set_mode(file, mode)


def share_file(source: Path, path: Path) -> None:
    """A second name for a file that nobody changes; a copy where the file system gives it none."""
    path.unlink(missing_ok=True)
    try:
        os.link(source, path)
    except OSError:
        replace_file(path, partial(shutil.copyfile, source))


def _made(path: Path) -> int:
    """The mode of a new, empty file, which an attempt that was killed may have left."""
    path.unlink(missing_ok=True)
    path.touch()
    return path.stat().st_mode


def _set_mode(path: Path, mode: int) -> None:
    if path.stat().st_mode != mode:
        with suppress(PermissionError):  # another user's, or a file system that knows no modes
            path.chmod(mode)
