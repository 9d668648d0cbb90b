"""Foreign weight files: checked by hash, read without running anything in them."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from dori.core.errors import InputError
from dori.core.readable import check_file


def check_sha256(path: Path, sha256: str) -> None:
    """Refuse a file that is not the expected one; ``sha256`` may be the first digits only.

    Raises:
        InputError: if the file's hash does not start with ``sha256``.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not sha256 or not found.startswith(sha256.lower()):
        raise InputError(f"{path} has sha256 {found}, not {sha256!r}: download it again, or correct sha256")


def read_state_dict(
    path: str | Path, give: str, sha256: str | None = None, device: str = "cpu"
) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a PyTorch file read with ``weights_only=True``.

    Args:
        give: which file it should be, for who has given another one.
        device: ``meta`` reads names and shapes alone.

    Raises:
        InputError: if there is no such file, the hash is another one, the file is TorchScript, holds more
            than tensors, or cannot be read.
    """
    path = Path(path)
    check_file(path, f"give {give}")
    if sha256 is not None:
        check_sha256(path, sha256)
    if _is_torchscript(path):
        raise InputError(f"{path} is TorchScript, a program: give {give}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path) if device != "meta" else _header(path)
        state: Any = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # both libraries raise many kinds for broken files
        said = str(error).partition("\n")[0]
        raise InputError(f"{path} is broken or no plain weights ({said:.100}): give {give}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError(f"{path} holds more than a state dict of tensors: give {give}")
    return state


def fill(network: nn.Module, state: dict[str, Tensor], path: str | Path, give: str) -> None:
    """Give a network, of which nothing need be there yet, its weights in float32.

    Raises:
        InputError: weights are missing, unexpected or of another shape.
    """
    # num_batches_tracked is an integer
    weights = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        _, *lines = str(error).splitlines()
        said = "; ".join(f"{line.strip():.90}" for line in lines[:3])
        raise InputError(f"{path} does not fit ({said}): give {give}") from error


def _header(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {key: torch.empty(file.get_slice(key).get_shape(), device="meta") for key in file.keys()}  # noqa: SIM118


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())
