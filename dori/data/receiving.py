"""One picture by its address: what the server gives is a picture of a usual kind, whole and not too large."""

import time
from io import BytesIO
from pathlib import Path

import requests
from PIL import Image, UnidentifiedImageError
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException, TooManyRedirects
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

import dori
from dori.core.files import write_atomically
from dori.core.web import answer

HEADERS = {
    "User-Agent": f"dori/{dori.__version__} (dori data fetch; a picture at a time from each host)",
    "Accept": "image/*",
    "Accept-Encoding": "identity",
}
# what servers give for pictures; Pillow reads more, some of it with the help of other programs (EPS)
FORMATS = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp",
    "TIFF": ".tif", "AVIF": ".avif",
}  # fmt: skip
MOST, PIXELS, SECONDS = 20 * 2**20, 50_000_000, 120.0  # bytes, pixels and time of a picture
SMALLEST = 32  # pixels of a side; smaller ones stand in for a picture that is gone
PASSING = (408, 425, 429)  # of the answers that blame the one who asks (4xx)
BUSY = (429, 503)
RESERVED = ("noai", "noimageai")  # in X-Robots-Tag


class NoPicture(Exception):
    """What an address does not give, and will not another time."""


class NotNow(Exception):
    """What an address did not give this time.

    Args:
        wait: seconds that the server asks for.
        busy: the server wants to be left alone.
    """

    def __init__(self, why: str, wait: float | None = None, busy: bool = False) -> None:
        super().__init__(why)
        self.wait, self.busy = wait, busy


def receive(address: str, stem: Path) -> None:
    """Write the picture to ``stem`` with the suffix of its format.

    Raises:
        NoPicture: a dead link, a private address, no picture, one that is too large or too small, or one that
            is kept from such a use.
        NotNow: a server that cannot be reached, is busy or has a fault; a connection that was cut.
    """
    try:
        with answer(address, HEADERS, ("https", "http")) as found:
            _check(found)
            content = _read(found)
    except (InvalidURL, InvalidSchema, MissingSchema, TooManyRedirects) as error:
        raise NoPicture(str(error)) from error
    except RequestException as error:
        raise NotNow(f"cannot be reached, or was cut ({type(error).__name__})") from error
    write_atomically(stem.with_suffix(_suffix(content)), content)


def _check(found: requests.Response) -> None:
    code, told = found.status_code, f"{found.status_code} {found.reason}"
    if 400 <= code < 500 and code not in PASSING:
        raise NoPicture(told)
    if code != 200:
        raise NotNow(told, _wait(found.headers.get("Retry-After")), code in BUSY)
    if any(word in found.headers.get("X-Robots-Tag", "").lower() for word in RESERVED):
        raise NoPicture("its server keeps it from such a use (X-Robots-Tag)")


def _wait(asked: str | None) -> float | None:
    try:
        return None if asked is None else max(0.0, Retry().parse_retry_after(asked))
    except InvalidHeader:
        return None


def _read(found: requests.Response) -> bytes:
    content, begun = bytearray(), time.monotonic()
    if int(found.headers.get("Content-Length", 0)) > MOST:
        raise NoPicture(f"more than {MOST:,} bytes")
    for chunk in found.iter_content(1 << 16):
        content += chunk
        if len(content) > MOST:
            raise NoPicture(f"more than {MOST:,} bytes")
        if time.monotonic() - begun > SECONDS:
            raise NotNow(f"took more than {SECONDS:.0f} seconds")
    return bytes(content)


def _suffix(content: bytes) -> str:
    """Of a picture, which is decoded for it."""
    try:
        Image.init()
        known = [format for format in FORMATS if format in Image.OPEN]  # MPO is opened as JPEG
        with Image.open(BytesIO(content), formats=known) as image:
            width, height = image.size
            if width * height > PIXELS or min(width, height) < SMALLEST:
                raise NoPicture(f"{width} x {height} pixels")
            image.load()
            return FORMATS[str(image.format)]
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise NoPicture(
            "no picture" if isinstance(error, UnidentifiedImageError) else "too many pixels"
        ) from error
    except NoPicture:
        raise
    except Exception as error:  # Pillow raises many kinds for broken files
        raise NotNow(f"cut or broken ({error})") from error
