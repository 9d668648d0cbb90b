"""The configuration: where it lies, how it is composed, and what is checked before a run starts."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

import dori
from dori.errors import InputError, unknown
from dori.stages import digest_file, fingerprint

PACKAGE = Path(dori.__file__).parent
# in a checkout the three folders lie beside the package, in a wheel inside it
ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
CONF = ROOT / "conf"

OmegaConf.register_new_resolver("root", lambda path="": str(ROOT / path), replace=True)
OmegaConf.register_new_resolver("package", lambda path: str(PACKAGE / path), replace=True)
# a share that is so many times another one
OmegaConf.register_new_resolver("times", lambda factor, share: min(1.0, factor * share), replace=True)
OmegaConf.register_new_resolver("run_id", lambda _root_: run_id(_root_), replace=True)

PARTS = ("study", "model", "data", "pruning", "defense", "attack", "evaluation", "seed")


def run_id(cfg: DictConfig) -> str:
    """Names a configuration, wherever and whenever it runs: the id of its W&B run."""
    return fingerprint(
        [OmegaConf.to_container(cfg[part], resolve=True) if part != "seed" else cfg.seed for part in PARTS]
    )


def build(node: Any, **arguments: Any) -> Any:
    """Hydra's ``instantiate``; what a constructor refuses comes out as the InputError that it is."""
    try:
        return hydra.utils.instantiate(node, **arguments)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        raise cause or error from error


def nodes(cfg: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """All mappings in a configuration with their dotted paths, outermost first."""
    if isinstance(cfg, DictConfig):
        if path:
            yield path, cfg
        for key in cfg:
            if not OmegaConf.is_missing(cfg, key) and not OmegaConf.is_interpolation(cfg, str(key)):
                yield from nodes(cfg[key], f"{path}.{key!s}" if path else str(key))
    elif isinstance(cfg, ListConfig):
        for i, item in enumerate(cfg):
            yield from nodes(item, f"{path}.{i}")


def check_keys(cfg: DictConfig) -> None:
    """Every key of every node with a ``_target_`` is an argument of it; nothing mandatory is missing.

    Hydra itself lets a misspelt key in a file pass.

    Raises:
        InputError: the key, with the nearest name that exists.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"missing value: give {', '.join(f'{key}=...' for key in missing)}")
    for path, node in nodes(cfg):
        if not isinstance(target := node.get("_target_"), str):
            continue
        arguments = inspect.signature(hydra.utils.get_object(target)).parameters.values()
        if any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
            continue
        known = [argument.name for argument in arguments]
        for key in node:
            if not str(key).startswith("_") and key not in known:
                raise unknown(f"key in {path}", str(key), known)


def check_top(cfg: DictConfig, known: list[str]) -> None:
    """No key at the top level but those of config.yaml."""
    for key in cfg:
        if str(key) not in known:
            raise unknown("key", str(key), known)


def identity(node: Any, is_path: bool = False) -> Any:
    """What a node *is*, JSON-able: resolved, with files and folders replaced by their hashes."""
    if isinstance(node, DictConfig | ListConfig):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, dict):
        return {str(key): identity(value, key == "path") for key, value in node.items()}
    if isinstance(node, list):
        return [identity(value) for value in node]
    if isinstance(node, str) and (is_path or "/" in node) and (path := Path(node)).exists():
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        return fingerprint([[p.name, digest_file(p)] for p in files])
    return node
