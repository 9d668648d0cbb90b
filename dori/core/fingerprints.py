"""What values, files and parts of a configuration *are*, wherever they lie: what fingerprints are made of."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from dori.core.code import code_of
from dori.core.neutral import neutral_of


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256, 24 hex digits, of a JSON-able value; raises TypeError on anything else."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def path_of(value: Any, key: str = "") -> Path | None:
    """The file or folder that a setting names, where it names one that exists."""
    if not isinstance(value, str) or not (key == "path" or "/" in value or "." in value):
        return None
    return Path(value) if os.path.exists(value) else None  # Path.exists raises on a long text


def digest(path: Path) -> str:
    """Of the content of a file, its SHA-256, or of all files in a folder; wherever it lies."""
    if not path.is_dir():
        return digest_file(path)
    return fingerprint([[p.name, digest_file(p)] for p in sorted(path.rglob("*")) if p.is_file()])


def identity(node: Any, key: str = "") -> Any:
    """What a node *is*, JSON-able: resolved, files and folders as their hashes, without what is neutral.

    What it builds has its code beside it: see ``code_of``.
    """
    if isinstance(node, DictConfig | ListConfig):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, dict):
        target = node.get("_target_")
        code, apart = ({"_code_": code_of(target)}, neutral_of(target)) if target else ({}, ())
        return {str(key): identity(item, str(key)) for key, item in node.items() if key not in apart} | code
    if isinstance(node, list):
        return [identity(item) for item in node]
    path = path_of(node, key)
    return digest(path) if path else node
