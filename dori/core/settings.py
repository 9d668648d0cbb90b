"""What a part was told: the flat settings by which rows are told apart, out of the part's node.

A setting is called as on the command line, and every part tells all of its own, whoever wrote its class:

- ``pruning.ratio: 0.13``; a list stays a list, null stays null;
- what has a ``_target_`` is called by its name, or its class: ``pruning: wanda``, ``attack.start: prompt``;
  ``pruning.class`` is that class in full;
- a file or folder is called by its name, wherever it lies: ``pruning.path: mask.safetensors``, and
  ``pruning.path.hash`` tells its content, of a file by the first digits of its SHA-256;
- what follows a setting that every row tells (``seed: ${seed}``, ``guidance: ${model.guidance}``) is told
  there, and what is neutral (see ``dori.core.neutral``) nowhere.
"""

import os
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from dori.core.fingerprints import digest, path_of
from dori.core.neutral import neutral_of

EVERYWHERE = ("study", "model", "data", "evaluation", "margins", "seed")  # what every row tells
_FOLLOWS = re.compile(rf"\$\{{({'|'.join(EVERYWHERE)})(\.[\w.]+)?\}}")
_OWN = ("_target_", "_partial_", "_convert_", "_recursive_")  # Hydra's


def settings(node: DictConfig, name: str, content: bool = True) -> dict[str, Any]:
    """All settings of the part at ``node``, as they are called; JSON-able.

    ``content``: of files and folders too; else somebody else tells it.

    >>> node = OmegaConf.create({"_target_": "dori.pruning.Wanda", "name": "wanda", "ratio": 0.1, "seed": 0})
    >>> settings(node, "pruning")
    {'pruning': 'wanda', 'pruning.class': 'dori.pruning.Wanda', 'pruning.ratio': 0.1, 'pruning.seed': 0}
    """
    found: dict[str, Any] = {}
    if target := node.get("_target_"):
        found = {name: node.get("name") or target.rsplit(".", 1)[1], f"{name}.class": target}
    for key in map(str, node):
        if key in _OWN or (target and (key == "name" or key in neutral_of(target))):
            continue
        if OmegaConf.is_interpolation(node, key) and _FOLLOWS.fullmatch(_written(node)[key]):
            continue
        found |= _told(node[key], f"{name}.{key}", content, key)
    return found


def _told(value: Any, name: str, content: bool, key: str = "") -> dict[str, Any]:
    if isinstance(value, DictConfig):
        return settings(value, name, content)
    if isinstance(value, ListConfig):
        if not any(isinstance(item, DictConfig) or path_of(item) for item in value):
            return {name: OmegaConf.to_container(value, resolve=True)}
        each = [_told(item, f"{name}.{place}", content) for place, item in enumerate(value)]
        return {key: told for part in each for key, told in part.items()}
    if (path := path_of(value, key)) is None:
        return {name: value}
    called = Path(os.path.abspath(path)).name  # a link has a name of its own
    return {name: called, f"{name}.hash": digest(path)[:8]} if content else {name: called}


def _written(node: DictConfig) -> Any:
    return OmegaConf.to_container(node)  # not resolved


def of_attack(node: DictConfig, steps: int, epsilon: float | None) -> dict[str, Any]:
    """The attack's settings at one of its budgets, as every table calls them: without ``attack.``.

    But for what would have the name of another part then: ``attack.seed`` stays what it is.

    Args:
        epsilon: None where the constraint's own holds.
    """
    told: dict[str, Any] = {}
    for name, value in settings(node, "attack").items():
        tail = name.removeprefix("attack.")
        told[name if tail.split(".")[0] in EVERYWHERE else tail] = value
    own, _, _ = (told.pop(name, None) for name in ("constraint.epsilon", "epsilons", "snapshots"))
    size = own if epsilon is None else epsilon
    return told | {"steps": steps, "epsilon": None if size is None else float(size)}
