"""The configuration: where it lies, how it is composed, and what is checked before a run starts."""

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from dori.core.arguments import misfit
from dori.core.errors import InputError, unknown
from dori.core.folders import cache_folder, called, fresh, slug, swept, weights_folder
from dori.core.judge import is_minnows, judge, side
from dori.core.parts import Part
from dori.core.presets import preset_of

PACKAGE = Path(__file__).parents[1]
# in a checkout the three folders lie beside the package, in a wheel inside it
ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
CONF = ROOT / "conf"

OmegaConf.register_new_resolver("root", lambda path="": str(ROOT / path), replace=True)
OmegaConf.register_new_resolver("package", lambda path: str(PACKAGE / path), replace=True)
OmegaConf.register_new_resolver("cache_folder", cache_folder, replace=True)
OmegaConf.register_new_resolver("weights", lambda name: str(weights_folder() / name), replace=True)
# a share that is so many times another one
OmegaConf.register_new_resolver("times", lambda factor, share: min(1.0, factor * share), replace=True)
# one thing where somebody looks at a terminal, another where a file or a queue's log does
OmegaConf.register_new_resolver(
    "terminal", lambda seen, unseen: seen if sys.stdout.isatty() else unseen, replace=True
)
# one thing for minnow and for what was made of it, another for everybody else's model
OmegaConf.register_new_resolver(
    "minnows", lambda path, own, others: own if is_minnows(path) else others, replace=True
)
# what judges copies in an audit, and the side of the pictures that it sees
OmegaConf.register_new_resolver("judge", judge, use_cache=True, replace=True)
OmegaConf.register_new_resolver("side", side, replace=True)
OmegaConf.register_new_resolver("called", called, replace=True)
# what the preset of a model's family has, or something else
OmegaConf.register_new_resolver(
    "preset", lambda key, other, _parent_: preset_of(key, other, _parent_, CONF / "model"), replace=True
)
OmegaConf.register_new_resolver("half", lambda: half(), replace=True)
OmegaConf.register_new_resolver("slug", slug, replace=True)
OmegaConf.register_new_resolver("cut", lambda most, text: str(text)[:most] or "unnamed", replace=True)
OmegaConf.register_new_resolver("gpus", lambda accelerator, devices: gpus(accelerator, devices), replace=True)
# once for a configuration, and for those that Hydra makes of it: they share what was resolved
OmegaConf.register_new_resolver("fresh", fresh, use_cache=True, replace=True)
OmegaConf.register_new_resolver("swept", lambda _root_: swept(_root_), replace=True)


def half() -> str:
    """The half precision of the device at hand."""
    import torch  # is slow, and little of the command line needs it

    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float16"


def gpus(accelerator: str, devices: Any) -> int:
    """How many a trainer wants of each node: a number, a list of them, or one where it says neither."""
    if accelerator == "cpu":
        return 0
    if isinstance(devices, int | str) and str(devices).isdecimal():
        return int(devices)
    listed = str(devices).strip("[]").split(",")
    return len(listed) if all(word.strip().isdecimal() for word in listed) else 1


def build(node: Any, **arguments: Any) -> Any:
    """Hydra's ``instantiate``; what a constructor refuses comes out as the InputError that it is.

    Raises:
        InputError: also for what another library's constructor, or somebody's own, does not take.
    """
    try:
        return hydra.utils.instantiate(node, **arguments)
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if isinstance(cause, InputError):
            raise cause from error
        target = node.get("_target_", node) if isinstance(node, Mapping | DictConfig) else node
        raise InputError(f"{target} cannot be built: {' '.join(str(cause).split())}") from error


def part(cfg: DictConfig, where: str) -> Part[Any]:
    """The part at ``where``, built. Raises InputError, see ``build``."""
    return Part.at(cfg, where, build(OmegaConf.select(cfg, where)))


def part_or_none(cfg: DictConfig, where: str) -> Part[Any] | None:
    """The same, or None for ``none``: a node that names nothing to build."""
    return part(cfg, where) if "_target_" in cfg[where] else None


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


def expand_home(cfg: DictConfig | ListConfig) -> None:
    """``~`` at the beginning of a setting becomes the home folder, as a shell has it; in place."""
    keys: Any = range(len(cfg)) if isinstance(cfg, ListConfig) else cfg
    for key in keys:
        if OmegaConf.is_missing(cfg, key) or OmegaConf.is_interpolation(cfg, key):
            continue  # what it points to is a setting of its own
        if isinstance(value := cfg[key], DictConfig | ListConfig):
            expand_home(value)
        elif isinstance(value, str) and value.startswith("~"):
            cfg[key] = os.path.expanduser(value)


def check_keys(cfg: DictConfig) -> None:
    """Every key of every node with a ``_target_`` is an argument of it, and fits; nothing is missing.

    Hydra itself lets a misspelt key in a file pass, and a word in the place of a number.

    Raises:
        InputError: the key, with the nearest name that exists, or what it must be; a ``_target_`` that is
            not there.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"missing value: give {', '.join(f'{key}=...' for key in missing)}")
    for path, node in nodes(cfg):
        if not isinstance(target := node.get("_target_"), str):
            continue
        made = _named(target, path)
        arguments = inspect.signature(made).parameters.values()
        known = [argument.name for argument in arguments]
        others = any(argument.kind is argument.VAR_KEYWORD for argument in arguments)
        for key in (str(key) for key in node if not str(key).startswith("_")):
            if key not in known and not others:
                raise unknown(f"key in {path}", key, known)
            value = node[key]
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
            if not _holds_parts(value) and (wanted := misfit(made, key, value)):
                raise InputError(f"{path}.{key} is {value!r}, but must be {wanted}")


def _named(target: str, path: str) -> Any:
    try:
        return hydra.utils.get_object(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}._target_ {target!r} cannot be imported: {' '.join(str(error).split())}; install its"
            " package, or name its folder in PYTHONPATH"
        ) from error


def _holds_parts(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_parts, value)))


def check_top(cfg: DictConfig, known: list[str]) -> None:
    """No key at the top level but those of config.yaml."""
    for key in cfg:
        if str(key) not in known:
            raise unknown("key", str(key), known)
