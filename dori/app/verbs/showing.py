"""``dori show WORDS``: what a command line is for, and what it sets otherwise than ``dori`` alone."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from dori.app.line import CommandLine
from dori.app.overrides import groups
from dori.app.verbs.listing import description
from dori.core.errors import InputError


def command(arguments: list[str]) -> int:
    """Raises InputError for what does not exist."""
    if not arguments:
        raise InputError(
            "say what is to be shown: dori show experiments=table1, dori show pruning=nemo seed=1"
        )
    line, console = CommandLine.read(arguments), Console(highlight=False, soft_wrap=True)
    known = groups(line.folders)
    for word in line.overrides:
        if word.key_or_group in known and not word.is_sweep_override() and word.value() is not None:
            said = description(word.key_or_group, str(word.value()), line.folders)
            console.print(f"[bold]{escape(str(word.input_line))}[/bold]  {escape(said)}")
    if swept := line.swept:
        console.print(f"\n{_jobs(line)} jobs:")
        for key, values in swept.items():
            console.print(f"  {key} = {escape(', '.join(values))}")
    default = CommandLine([]).whole
    console.print("\nOtherwise than `dori` alone:")
    for key, value in changed(line.whole, default):
        console.print(f"  {key} = {escape(value)}")
    if left := gone(line.whole, default):
        console.print(f"  without {escape(', '.join(left))}")
    console.print(f"\nAll of it: dori --cfg job {escape(' '.join(arguments))}")
    return 0


def changed(cfg: DictConfig, default: DictConfig) -> Iterator[tuple[str, str]]:
    """Each setting that another configuration has not, or has with another value, as it is written."""
    before = dict(_leaves(default))
    for key, value in _leaves(cfg):
        if key not in before or before[key] != value:
            yield key, value


def gone(cfg: DictConfig, default: DictConfig) -> list[str]:
    """What another configuration has alone; a part that is gone whole is named once."""
    there = {prefix for key, _ in _leaves(cfg) for prefix in _prefixes(key)}
    missing = (next((p for p in _prefixes(key) if p not in there), None) for key, _ in _leaves(default))
    return list(dict.fromkeys(key for key in missing if key))


def _prefixes(key: str) -> list[str]:
    """Of ``a.b.c``: ``a``, ``a.b`` and itself."""
    parts = key.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _jobs(line: CommandLine) -> int:
    """How many there would be with ``-m``."""
    return len(replace(line, multirun=True).jobs)


def _leaves(cfg: DictConfig) -> list[tuple[str, str]]:
    plain = OmegaConf.to_container(cfg)
    assert isinstance(plain, dict)
    return list(_flat({key: value for key, value in plain.items() if key != "hydra"}, ""))


def _flat(values: dict[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
