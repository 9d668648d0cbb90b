"""Files that are not what their names say: pointers, web pages, halves. No weight is read."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from dori.core.errors import InputError

if TYPE_CHECKING:
    from dori.diffusion.files import Part


def check_headers(part: "Part") -> None:
    """Raises InputError: a file that is no safetensors, or holds other weights than its index says."""
    held = {file.name: names(file) for file in part.weights}
    if part.index is None:
        return
    told: dict[str, set[str]] = {}
    for weight, file in read_json(part.index)["weight_map"].items():
        told.setdefault(file, set()).add(weight)
    for file, weights in told.items():
        if differing := sorted(weights ^ held[file]):
            where = "is not in that file" if differing[0] in weights else "is not in the index"
            raise InputError(
                f"{part.index} and {file} disagree about {len(differing)} weights, the first {differing[0]},"
                f" which {where}; download {part.folder} again"
            )


def names(file: Path) -> set[str]:
    """Of all weights in a safetensors file.

    Raises:
        InputError: it is none, or not whole.
    """
    try:
        with safe_open(file, "pt") as opened:
            return set(opened.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} {_told(file)} ({error})") from error


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it is missing or none.
    """
    try:
        value = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        told = _told(file) if file.is_file() else "does not exist: download it whole"
        raise InputError(f"{file} {told} ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{file} holds a {type(value).__name__}, not an object; download it again")
    return value


def _told(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            head = opened.read(64).lstrip()
    except OSError:
        return "cannot be read: change its permissions"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself: run `git lfs pull` where it was cloned"
    if head.startswith(b"<"):
        return "is a web page, not the file itself: download it again"
    if not head:
        return "is empty: download it again"
    return "is damaged or only half there: download it again"
