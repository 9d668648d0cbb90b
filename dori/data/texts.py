"""The text of a user's file, as it was written."""

import gzip
from pathlib import Path

from dori.core.errors import InputError


def read_text(path: Path, content: bytes) -> str:
    """UTF-8, or UTF-16 with its mark, without the byte order mark; perhaps by gzip.

    Raises:
        InputError: another encoding, or no text; with the line.
    """
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    if content.startswith(b"PK"):
        raise InputError(f"{path} is an Excel file or an archive: save the table as CSV UTF-8")
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is no UTF-8, the encoding is perhaps"
            " cp1252 as Excel saves it: save the file as CSV UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line} has a NUL byte, as no text in UTF-8 has: save it as CSV UTF-8")
    return text
