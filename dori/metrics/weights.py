"""Foreign weight files: checked by hash, read without running anything in them."""

import hashlib
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


def check_sha256(path: Path, sha256: str) -> None:
    """Refuse a file that is not the expected one; ``sha256`` may be the first digits only.

    Raises:
        ValueError: if the file's hash does not start with ``sha256``.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not sha256 or not found.startswith(sha256.lower()):
        raise ValueError(f"{path} has sha256 {found}, not {sha256!r}: download it again, or correct sha256")


def read_state_dict(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a PyTorch file read with ``weights_only=True``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the hash is another one, the file is TorchScript, holds more than tensors, or
            cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: download them, and give the file as path")
    if sha256 is not None:
        check_sha256(path, sha256)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path} is no readable safetensors file ({error}): download it again"
            ) from error
    if _is_torchscript(path):
        raise ValueError(
            f"{path} is TorchScript, a program: give the authors' plain state dict or safetensors"
        )
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} is no plain state dict ({error}): download it again, or convert it"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"{path} holds more than a state dict of tensors: save the state dict alone")
    return state


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())
