"""The options of the groups as their YAML files tell them: what each is, its settings, what they mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from dori.core.config import CONF, ROOT
from dori.reference.docstrings import arguments, defaults

HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_", "defaults", "hydra")


@dataclass(frozen=True)
class Setting:
    """A key as on the command line, its default as written, and what it means."""

    key: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Option:
    """One YAML file: ``group=name``."""

    group: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def lines(self) -> list[str]:
        """The file's lines."""
        return self.path.read_text().splitlines()

    @cached_property
    def node(self) -> yaml.MappingNode:
        """The file as YAML's nodes, which know their lines."""
        found = yaml.compose(self.path.read_text(), yaml.SafeLoader)
        return found if isinstance(found, yaml.MappingNode) else yaml.MappingNode("", [])

    @property
    def about(self) -> str:
        """The comment at the file's head: for a part, its class and then what it is and its source."""
        head: list[str] = []
        for line in self.lines:
            if not line.startswith("#"):
                break
            if not line.startswith("# @package"):
                head.append(line.removeprefix("# "))
        return " ".join(head)

    @property
    def package(self) -> str:
        """Where its keys stand in the configuration: in its group, or where its first line says."""
        head = self.lines[0] if self.lines else ""
        own = head.removeprefix("# @package ") if head.startswith("# @package ") else "_global_"
        return self.group.replace("/", ".") if own == "_global_" else own.strip()

    @cached_property
    def target(self) -> str | None:
        """The class or function, its own or that of the option which it starts from."""
        if (own := _value(self.node, "_target_")) is not None:
            return own
        bases = (entry for entry in _defaults(self.node) if isinstance(entry, yaml.ScalarNode))
        names = [base.value for base in bases if base.value != "_self_"]
        return Option(self.group, self.path.with_name(f"{names[0]}.yaml")).target if names else None

    def settings(self) -> list[Setting]:
        """Those that the file sets; then, of a class of dori's, those that it leaves at their defaults."""
        prefix = self.package
        chosen = [self._choice(entry) for entry in _defaults(self.node)]
        return [*filter(None, chosen), *self._within(self.node, prefix, self.target), *self._left(prefix)]

    def _choice(self, entry: yaml.Node) -> Setting | None:
        if not isinstance(entry, yaml.MappingNode):
            return None
        key, value = entry.value[0]
        written = key.value
        sets = written.startswith("override ")
        group, _, package = written.removeprefix("override ").partition("@")
        place = group.removeprefix("/") if group.startswith("/") else f"{self.group}/{group}"
        if package and not package.startswith("_global_"):
            place = f"{place}@{self.group.replace('/', '.')}.{package}"
        meaning = self._comment(value.end_mark.line) or f"an option of `{place.split('@')[0]}`"
        return Setting(place, value.value, f"set beside it: {meaning}" if sets else meaning)

    def _within(self, node: yaml.MappingNode, prefix: str, target: str | None) -> Iterator[Setting]:
        known = arguments(get_object(target)) if target and target.startswith("dori.") else {}
        for key, value in node.value:
            name = key.value
            if name in HYDRA or (name == "name" and prefix):
                continue
            inner = isinstance(value, yaml.MappingNode)
            if inner and any(inside.value not in HYDRA for inside, _ in value.value):
                yield from self._within(value, f"{prefix}.{name}", _value(value, "_target_"))
                continue
            text = (
                (_value(value, "_target_") or "").rsplit(".", 1)[-1]
                if inner and value.value
                else _written(value)
            )
            told, meaning = self._comment(key.start_mark.line), known.get(name, "")
            if told and (meaning.startswith("see ") or list(known.values()).count(meaning) > 1):
                meaning = told  # the docstring speaks of several at once
            foreign = f"an argument of `{target}`" if target and not target.startswith("dori.") else ""
            yield Setting(f"{prefix}.{name}", text, meaning or told or foreign)

    def _left(self, prefix: str) -> Iterator[Setting]:
        own = (_value(self.node, "_target_") or "").startswith("dori.")
        if not own or _value(self.node, "_partial_") == "true":
            return
        target = get_object(self.target or "")
        given = {key.value for key, _ in self.node.value} | {
            entry.value[0][0].value.split("@")[-1].split("/")[-1]
            for entry in _defaults(self.node)
            if isinstance(entry, yaml.MappingNode)
        }
        for name, value in defaults(target).items():
            if name not in given and name != "name":
                shown = _plain(value)
                yield Setting(f"+{prefix}.{name}", shown, arguments(target).get(name, ""))

    def _comment(self, line: int) -> str:
        """Behind the value, and on lines of comment alone that go on with it."""
        return self.lines[line].partition(" #")[2].strip()


def options(group: str) -> list[Option]:
    """All options of a group, by name; ``experiments`` and ``multirun_sweeps`` are groups."""
    folder = next(root / group for root in (CONF, ROOT) if (root / group).is_dir())
    return [Option(group, path) for path in sorted(folder.glob("*.yaml"))]


def top() -> list[Setting]:
    """The keys that are in no group: of ``config.yaml`` itself."""
    option = Option("", CONF / "config.yaml")
    return [Setting(s.key.lstrip("."), s.default, s.meaning) for s in option._within(option.node, "", None)]


def default() -> list[Setting]:
    """Every key of what ``dori`` is told without a word, with its value as written."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", return_hydra_config=True)
    chosen = cfg.hydra.runtime.choices
    meanings = {s.key: s.meaning for s in top()}
    for group, name in chosen.items():
        if name is None or group.startswith("hydra/"):
            continue
        option = next(option for option in options(group) if option.name == name)
        meanings |= {s.key.lstrip("+"): s.meaning for s in option.settings()}
    written = OmegaConf.to_container(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
    assert isinstance(written, dict)
    return [Setting(key, value, meanings.get(key, "")) for key, value in _flat(written)]


def _flat(node: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict) and not value.keys() <= set(HYDRA):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, dict):
            yield f"{prefix}{key}", str(value.get("_target_", "")).rsplit(".", 1)[-1]
        elif key not in (*HYDRA, "name") or not prefix:
            yield f"{prefix}{key}", _plain(value)


def _defaults(node: yaml.MappingNode) -> list[yaml.Node]:
    found = [value for key, value in node.value if key.value == "defaults"]
    return found[0].value if found else []


def _value(node: yaml.Node, name: str) -> str | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value.value for key, value in entries if key.value == name), None)


def _written(node: yaml.Node) -> str:
    """As YAML has it, on one line."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(map(_written, node.value))}]"
    return "{" + ", ".join(f"{key.value}: {_written(value)}" for key, value in node.value) + "}"


def _plain(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(getattr(value, "__name__", value) if callable(value) else value)
