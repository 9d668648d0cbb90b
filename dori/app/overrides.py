"""The command line, checked against the configuration before Hydra runs: with the nearest name."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dori.core.config import CONF, ROOT
from dori.core.errors import InputError, unknown

DEFAULTS = OmegaConf.load(CONF / "config.yaml").defaults
HOW = (
    "write key=value, lists as key=a,b; a value with = ( ) [ ] { } , or ~ in quotes of its own:"
    " 'data.path=\"a=b (1).csv\"'"
)


def checked(arguments: list[str]) -> list[str]:
    """The command line as Hydra reads it: overrides first, in quotes where one is the name of a file.

    Raises:
        InputError: a flag, group, option or key that does not exist.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    known, rest = parser.parse_known_args(arguments)
    if wrong := [word for word in rest if word.startswith("-")]:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise unknown("flag", wrong[0], flags)
    words = [*known.overrides, *rest]
    if known.shell_completion or known.help or known.hydra_help:
        return arguments
    flags = _without(arguments, words)
    known_groups = groups()
    words = [literal(as_option(at_home(word), known_groups)) for word in words]
    check_overrides(words, known.config_dir)
    return [*words, *flags]


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}; `dori --help` and `dori --hydra-help` say what there is")


def _without(arguments: list[str], words: list[str]) -> list[str]:
    left = list(arguments)
    for word in words:
        left.remove(word)
    return left


def as_option(word: str, known: dict[str, list[str]]) -> str:
    """``evaluation.descriptor=sscd_int8``, with a dot as in rows and YAML, chooses an option all the same.

    So does ``evaluation.quality=[coco,hpsv3]``.
    """
    key, _, value = word.partition("=")
    group = key.replace(".", "/")
    chosen = {each.strip() for each in value.strip("[]").split(",")}
    return f"{group}={value}" if "." in key and chosen <= set(known.get(group, [])) else word


def at_home(word: str) -> str:
    """``hydra.run.dir=~/x`` as ``~`` is meant, which shells leave as it is behind a ``=``.

    Hydra would make a folder of that name; what are dori's own settings, ``expand_home`` sees to.
    """
    key, mark, value = word.partition("=")
    is_dir = key in ("hydra.run.dir", "hydra.sweep.dir")
    return f"{key}{mark}{os.path.expanduser(value)}" if is_dir else word


def literal(word: str) -> str:
    """``key=value``, in quotes where the value is a file or folder whose name Hydra would take apart."""
    key, _, value = word.partition("=")
    if not set(value) & set("/=(),[]{}~") or not Path(value).expanduser().exists():
        return word
    try:
        if OverridesParser.create().parse_override(word).value() == value:
            return word
    except HydraException:
        pass
    return f"{key}={quoted(value)}"


def quoted(value: str) -> str:
    """In quotes, as Hydra's grammar wants a value that it is to take as it is."""
    return "'" + value.replace("'", "\\'") + "'"


def groups(own: list[Path] | None = None) -> dict[str, list[str]]:
    """Every config group with its options, ``experiments`` and ``multirun_sweeps`` among them.

    ``own``: folders of options besides dori's.
    """
    tops = [str(next(iter(entry))) for entry in DEFAULTS if isinstance(entry, DictConfig)]
    found: dict[str, set[str]] = {}
    for root in (CONF, ROOT, *(own or [])):
        for path in (path for top in tops for path in (root / top).rglob("*.yaml")):
            found.setdefault(path.parent.relative_to(root).as_posix(), set()).add(path.stem)
    return {group: sorted(options) for group, options in found.items()}


def check_overrides(words: list[str], config_dir: str | None = None) -> None:
    """Raises InputError for a group, option, or key that does not exist."""
    try:
        overrides = OverridesParser.create().parse_overrides(words)
    except OverrideParseException as error:
        raise InputError(f"cannot read {error.override!r}: {HOW}") from error
    own = places(overrides, config_dir)
    known = groups([folder_of(place) for place in own])
    chosen = [o for o in overrides if o.key_or_group in known and not o.is_add() and not o.is_delete()]
    for override in chosen:
        for option in _options(override):
            if option not in known[override.key_or_group]:
                raise unknown(f"option of {override.key_or_group}", option, known[override.key_or_group])
    wanted = [override for override in overrides if override not in chosen and _is_looked_up(override)]
    if wanted:
        cfg = composed([f"{o.get_key_element()}={_first(o)}" for o in chosen if _options(o)], own)
        for override in wanted:
            _check_key(cfg, override.key_or_group, known)


def _is_looked_up(override: Override) -> bool:
    """What is added is checked against its constructor when the job begins."""
    added = override.is_add() or override.is_force_add()
    return not (added or override.is_delete() or override.key_or_group.startswith("hydra"))


def places(overrides: list[Override], config_dir: str | None) -> list[str]:
    """Where options lie besides dori's own, as entries of ``hydra.searchpath``."""
    given = [o.value() for o in overrides if o.get_key_element() == "hydra.searchpath"]
    named = [str(place) for place in (given[-1] if given and isinstance(given[-1], list) else [])]
    return named if config_dir is None else [f"file://{Path(config_dir).absolute()}", *named]


def folder_of(place: str) -> Path:
    """Of an entry of ``hydra.searchpath``: ``file://folder``, ``pkg://package`` or a folder."""
    scheme, mark, name = place.rpartition("://")
    try:
        folder = _package(name) if scheme == "pkg" else Path(name if mark else place)
    except ModuleNotFoundError:
        folder = Path()
    if folder == Path() or not folder.is_dir():
        raise InputError(
            f"options are looked for in {place!r} (hydra.searchpath, --config-dir): no such folder"
        )
    return folder


def _package(name: str) -> Path:
    """Its folder, with an ``__init__.py`` or without. Raises ModuleNotFoundError."""
    spec = find_spec(name)
    return Path(next(iter(spec.submodule_search_locations or []), "")) if spec else Path()


def _options(override: Override) -> list[str]:
    """The options that an override chooses: several in a sweep; none for null."""
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    value = override.value()
    if isinstance(value, list):  # several at once: metrics=[a,b]
        return [str(each) for each in value]
    return [] if value is None else [str(value)]


def _first(override: Override) -> str:
    """Of a sweep the first option; else what is chosen, which may be several."""
    found = _options(override)
    return found[0] if override.is_sweep_override() or len(found) == 1 else f"[{','.join(found)}]"


def composed(words: list[str], own: list[str], with_hydra: bool = False) -> DictConfig:
    """The configuration of some overrides, ``own``: with options from these places besides dori's.

    ``with_hydra``: Hydra's own settings are in it, too.

    Raises:
        InputError: what Hydra says of them.
    """
    searched = f"hydra.searchpath=[{','.join(map(quoted, own))}]"
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", [*words, searched], return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"the configuration cannot be composed: {error}") from error


def _check_key(cfg: DictConfig, key: str, known: dict[str, list[str]]) -> None:
    parent, _, last = key.rpartition(".")
    names: list[str] = [str(name) for name in cfg] if not parent else []
    if parent:
        node = OmegaConf.select(cfg, parent, throw_on_missing=False)
        if node is None:
            _check_key(cfg, parent, known)
        names = [str(name) for name in node] if isinstance(node, DictConfig) else []
    if last not in names:
        raise unknown("key", key, [*(f"{parent}.{name}" if parent else name for name in names), *known])
