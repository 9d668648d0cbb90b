"""What a model is not told: its family's preset says it, and its folder which family that is."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

# by how the classes of a family's pipelines begin; Stable Diffusion 1 and 2 have what conf has without any
PRESETS = {"StableDiffusionXL": "sdxl", "StableDiffusion3": "sd35", "Flux": "flux", "PixArt": "pixart"}


def preset_of(key: str, other: Any, model: DictConfig, folder: Path) -> Any:
    """A setting as the preset of a model's family has it.

    A hub id is not asked, for a configuration needs no network: it is known where it is a preset's.

    Args:
        key: of the setting.
        other: where no preset says anything.
        model: its node, with ``path``, and ``config`` of a single file.
        folder: of the presets.
    """
    place = str(model.get("config") or model.get("path"))
    kind = _kind(Path(place).expanduser() / "model_index.json")
    for beginning, name in PRESETS.items():
        preset = _preset(folder / f"{name}.yaml")
        if kind.startswith(beginning) or place == preset.path:
            return preset.get(key, other)
    return other


def _kind(index: Path) -> str:
    """Of a pipeline; of a file that is not there or none of JSON nothing: who opens the model says so."""
    try:
        return str(json.loads(index.read_text())["_class_name"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


@cache
def _preset(file: Path) -> Any:
    return OmegaConf.load(file)
