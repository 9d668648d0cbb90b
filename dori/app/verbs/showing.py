"""``dori show WORDS``: what a command line is for, and what it sets otherwise than ``dori`` alone."""

from collections.abc import Iterator
from math import prod
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
        console.print(f"\n{prod(map(len, swept.values()))} jobs:")
        for key, values in swept.items():
            console.print(f"  {key} = {escape(', '.join(values))}")
    console.print("\nOtherwise than `dori` alone:")
    for key, value in changed(line.whole, CommandLine([]).whole):
        console.print(f"  {key} = {escape(value)}")
    console.print(f"\nAll of it: dori --cfg job {escape(' '.join(arguments))}")
    return 0


def changed(cfg: DictConfig, default: DictConfig) -> Iterator[tuple[str, str]]:
    """Each setting that another configuration has not, or has with another value, as it is written."""
    before = dict(_leaves(default))
    for key, value in _leaves(cfg):
        if key not in before or before[key] != value:
            yield key, value
    for key in before.keys() - dict(_leaves(cfg)).keys():
        if not any(key.startswith(f"{other}.") for other in before.keys() - {key}):
            yield f"~{key}", "not there"


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
