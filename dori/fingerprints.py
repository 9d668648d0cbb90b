"""What values, files and parts of a configuration *are*, wherever they lie: what fingerprints are made of."""

import hashlib
import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from dori.code import code_of


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256, 24 hex digits, of a JSON-able value; raises TypeError on anything else."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def identity(node: Any, is_path: bool = False) -> Any:
    """What a node *is*, JSON-able: resolved, with files and folders replaced by their hashes.

    What it builds has its code beside it: see ``code_of``.
    """
    if isinstance(node, DictConfig | ListConfig):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, dict):
        target = node.get("_target_")
        code = {"_code_": code_of(target)} if isinstance(target, str) else {}
        return {str(key): identity(value, key == "path") for key, value in node.items()} | code
    if isinstance(node, list):
        return [identity(value) for value in node]
    if isinstance(node, str) and (is_path or "/" in node) and (path := Path(node)).exists():
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        return fingerprint([[p.name, digest_file(p)] for p in files])
    return node
