"""Which weights measured: scores of other ones do not compare."""

from collections.abc import Mapping
from typing import Any

PARTS = ("descriptor", "alignment", "features")


def measured_with(params: Mapping[str, Any]) -> str:
    """The files behind a row's figures with the first digits of their SHA-256, of a folder that of its files.

    >>> part = "evaluation.descriptor"
    >>> measured_with({f"{part}.path": "sscd.pt", f"{part}.path.hash": "0123abcd"})
    'sscd.pt 0123abcd'
    """
    return ", ".join(found for part in PARTS if (found := weights_of(params, f"evaluation.{part}")))


def weights_of(params: Mapping[str, Any], part: str) -> str:
    """Of one part, nothing where it has no weights; of a package's file, the hash that it must have."""
    name = params.get(f"{part}.path") or params.get(part)
    found = params.get(f"{part}.path.hash") or params.get(f"{part}.sha256")
    return f"{name} {found[:8]}" if found else ""
