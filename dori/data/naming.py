"""What pictures of a list are called: in folders that people have, and among those that were fetched."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dori.core.errors import InputError
from dori.core.fingerprints import fingerprint
from dori.data.captioned import PICTURES
from dori.data.listing import Entry


def name_of(address: str) -> str:
    """What a fetched picture is called, without its suffix: the hash of its address."""
    return fingerprint(address)


def fetched(folder: Path) -> dict[str, Path]:
    """The pictures that were fetched into a folder, by what they are called."""
    return {path.stem: path for path in folder.glob("*") if path.suffix in PICTURES}


def _in_address(entry: Entry) -> str:
    return Path(unquote(urlsplit(entry.address).path)).stem


# how people call pictures that they fetched; numbers first, as img2dataset and NeMo have them
SCHEMES: Mapping[str, tuple[Callable[[Entry], str], Callable[[str], str]]] = {
    "hash of the address": (lambda entry: name_of(entry.address), str),
    "file name in the address": (_in_address, str),
    "column Index": (lambda entry: entry.index, str),
    "row number": (lambda entry: str(entry.place), lambda stem: _number(stem)),
}


def _number(stem: str) -> str:
    digits = re.match(r"\d+", stem)
    return str(int(digits[0])) if digits else ""


@dataclass(frozen=True)
class Found:
    """Pictures by the places of their rows, and by what they were recognised."""

    files: dict[int, Path]
    by: str


def find(entries: list[Entry], folder: Path) -> Found:
    """The files below a folder that are pictures of these rows, by the naming that recognises most of them.

    A name that several rows would have is nobody's.

    Raises:
        InputError: no folder; two pictures of one row; numbers that begin with 1.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give that of the pictures")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES]
    best, claims = "", dict[int, list[Path]]()
    for scheme, (of_entry, of_stem) in SCHEMES.items():
        named: dict[str, list[Path]] = {}
        for file in files:
            named.setdefault(of_stem(file.stem), []).append(file)
        wanted = Counter(map(of_entry, entries))
        keys = {entry.place: of_entry(entry) for entry in entries}
        found = {
            place: named[key] for place, key in keys.items() if key in named and wanted[key] == 1 and key
        }
        if len(found) > len(claims):
            best, claims = scheme, found
            if scheme == "row number" and "0" not in named and str(len(entries)) in named:
                raise InputError(
                    f"pictures in {folder} are numbered from 1, but rows from 0: call the first one 0000"
                )
    for place, paths in claims.items():
        if len(paths) > 1:
            raise InputError(f"{folder} has two pictures of row {place}, {paths[0].name} and {paths[1].name}")
    return Found({place: paths[0] for place, paths in claims.items()}, best)
