"""Pipelines' folders as people meet them: what the tests spoil in a copy of a whole one."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def edit(file: Path, **changes: Any) -> None:
    """Keys changed in a JSON file; those that become ``...`` are taken out."""
    data = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))


def weights(folder: Path, part: str) -> dict[str, Tensor]:
    return load_file(folder / part / WEIGHTS[part])


def rewrite(folder: Path, part: str, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, folder / part / WEIGHTS[part], {"format": "pt"})


def shard(folder: Path, part: str, variant: str = "") -> None:
    """One file of weights becomes two, with their index."""
    file = folder / part / WEIGHTS[part]
    tensors, stem = load_file(file), file.name.removesuffix(".safetensors")
    middle = f".{variant}" if variant else ""
    names, where = sorted(tensors), {}
    for i, some in enumerate((names[::2], names[1::2]), start=1):
        name = f"{stem}{middle}-0000{i}-of-00002.safetensors"
        save_file({key: tensors[key] for key in some}, file.with_name(name), {"format": "pt"})
        where |= dict.fromkeys(some, name)
    index = f"{stem}.safetensors.index{middle}.json"
    file.with_name(index).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    file.unlink()
