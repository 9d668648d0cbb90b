"""Published files, fetched once: whole and the right ones, or not at all."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import requests
from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout
from tqdm import tqdm

from dori.core.disk import CACHE, room
from dori.core.environment import OFFLINE, is_set
from dori.core.errors import InputError
from dori.core.fingerprints import digest_file
from dori.core.locks import locked
from dori.core.web import answer

log = logging.getLogger(__name__)
PAUSE = 2.0  # seconds after which a connection that was cut is tried again
CHUNK = 1 << 16  # bytes: what is lost at most where a connection is cut


class Source(NamedTuple):
    """Where a file is published, and its SHA-256 where that is published too."""

    address: str
    sha256: str | None


def fetch(wanted: Mapping[Path, Source]) -> None:
    """Fetch the files that are not there yet; of several runs at once, one does.

    What was cut goes on where it ended, also in a later run. A file has its name once it is whole.

    Raises:
        InputError: offline; what cannot be reached, is private, or something else. Says where it belongs.
        Failure: the disk is full.
    """
    missing = {path: source for path, source in wanted.items() if not path.is_file()}
    addresses = ", ".join(source.address for source in missing.values())
    for path, source in missing.items():
        advice = f"download {addresses} elsewhere, and put it into {path.parent}"
        if is_set(OFFLINE):
            raise InputError(f"{path.name} is not here, and {OFFLINE} is set: {advice}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with room(path.parent, CACHE), locked(_beside(path, "lock")):
                if not path.is_file():  # another run may have fetched it in the meantime
                    _fetch(path, source)
        except requests.RequestException as error:
            raise InputError(f"{path.name} cannot be fetched ({_reason(error)}): {advice}") from error
        except OSError as error:
            raise InputError(f"cannot write {path} ({error.strerror}): {CACHE}") from error


def _fetch(path: Path, source: Source) -> None:
    log.info("fetching %s", source.address)
    part = _beside(path, "part")
    while True:
        before = _size(part)
        try:
            _go_on(path, source.address)
            break
        except (ChunkedEncodingError, ConnectionError, Timeout):
            if _size(part) <= before:
                raise
            time.sleep(PAUSE)  # it brought something: the next time will, too
    found = digest_file(part)
    if source.sha256 not in (None, found):
        part.unlink()
        raise requests.RequestException(f"its sha256 is {found}, not {source.sha256}")
    os.replace(part, path)
    _beside(path, "etag").unlink(missing_ok=True)
    log.info("%s has sha256 %s", path, found)


def _go_on(path: Path, address: str) -> None:
    """Append what is missing of the part, if the server still has the same file; else begin anew."""
    part, mark = _beside(path, "part"), _beside(path, "etag")
    headers = {"Accept-Encoding": "identity"}
    if _size(part) and mark.is_file():
        headers |= {"Range": f"bytes={_size(part)}-", "If-Range": mark.read_text()}
    with answer(address, headers) as found:
        if found.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # nothing is missing of it, but nobody knows whether it is right
            return _go_on(path, address)
        found.raise_for_status()
        if found.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.RequestException("it is a page, not a file")
        if "Content-Length" not in found.headers:
            raise requests.RequestException("it does not say its length")
        begun = _size(part) if found.status_code == requests.codes.partial_content else 0
        if not begun:
            _remember(mark, found.headers.get("ETag", ""))
        total = begun + int(found.headers["Content-Length"])
        bar = tqdm(desc=path.name, initial=begun, total=total, unit="B", unit_scale=True, disable=None)
        with part.open("ab" if begun else "wb") as file, bar:
            for chunk in found.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _remember(place: Path, mark: str) -> None:
    """The server's mark of this version of the file; a weak one does not say that the bytes are the same."""
    place.unlink(missing_ok=True)
    if mark.startswith('"'):
        place.write_text(mark)


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, ChunkedEncodingError):
        return "the connection is cut again and again"
    return "it cannot be reached" if isinstance(error, ConnectionError | Timeout) else str(error)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
