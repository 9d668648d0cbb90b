"""The command line, checked against the configuration before Hydra runs: with the nearest name."""

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dori.config import CONF, ROOT
from dori.errors import InputError, unknown


def groups() -> dict[str, list[str]]:
    """Every config group with its options, ``experiments`` and ``multirun_sweeps`` among them."""
    found: dict[str, list[str]] = {}
    for root in (CONF, ROOT / "experiments", ROOT / "multirun_sweeps"):
        base = CONF if root == CONF else ROOT
        for path in root.rglob("*.yaml"):
            # Hydra's own groups have options that are not files of ours
            if not (group := path.parent.relative_to(base).as_posix()).startswith((".", "hydra")):
                found.setdefault(group, []).append(path.stem)
    return {group: sorted(options) for group, options in found.items()}


def check_overrides(arguments: list[str]) -> None:
    """Raises InputError for a group, option, or key that does not exist; leaves flags to Hydra."""
    words = [word for word in arguments if not word.startswith("-")]
    try:
        overrides = OverridesParser.create().parse_overrides(words)
    except OverrideParseException as error:
        raise InputError(f"cannot read {error.override!r}: write key=value, lists as key=a,b") from error
    known = groups()
    chosen = [o for o in overrides if o.key_or_group in known and not o.is_add() and not o.is_delete()]
    for override in chosen:
        for option in _options(override):
            if option not in known[override.key_or_group]:
                raise unknown(f"option of {override.key_or_group}", option, known[override.key_or_group])
    cfg = _composed([f"{o.get_key_element()}={_options(o)[0]}" for o in chosen if _options(o)])
    for override in overrides:
        key = override.key_or_group
        # what is added is checked against its constructor when the job begins
        added = override.is_add() or override.is_force_add()
        if override in chosen or added or override.is_delete() or key.startswith("hydra"):
            continue
        _check_key(cfg, key, known)


def _options(override: Override) -> list[str]:
    """The options that an override chooses: several in a sweep; none for null."""
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    value = override.value()
    return [] if value is None else [str(value)]


def _composed(choices: list[str]) -> DictConfig:
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", overrides=choices)
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
