"""A transformers network with its tokenizer, out of a folder or of a hub id."""

from pathlib import Path
from typing import Any

from dori.core.environment import OFFLINE, is_set
from dori.core.errors import InputError
from dori.core.readable import check_file


def opened(name: str, path: str | Path, device: str, network: Any, tokenizer: Any) -> tuple[Any, Any]:
    """Both, as they are there; offline a hub id is what the hub's own cache holds.

    Args:
        name: as errors call it.
        device: ``meta`` reads no weights.
        network, tokenizer: their classes.

    Raises:
        InputError: no such folder; broken files, others than safetensors, or weights that are missing.
    """
    for file in Path(path).glob("*.safetensors"):
        check_file(file)
    try:
        model, info = network.from_pretrained(
            path, use_safetensors=True, output_loading_info=True, device_map=device, **local()
        )
        tokens = tokenizer.from_pretrained(path, **local())
    except Exception as error:  # OSError, and what a broken file or another architecture makes it raise
        said = str(error).strip().partition("\n")[0]
        raise InputError(
            f"no {name} at {path}: give the folder of a {network.__name__} with config.json,"
            f" model.safetensors (a .bin is not read) and its tokenizer ({said:.200})"
        ) from error
    if unfilled := sorted(info["missing_keys"]):
        raise InputError(
            f"{path} does not fill its {network.__name__}, {unfilled[:4]} are missing: save it whole"
        )
    return model, tokens


def local() -> dict[str, bool]:
    """What tells transformers to ask no hub, where nothing is to be fetched."""
    return {"local_files_only": is_set(OFFLINE)}
