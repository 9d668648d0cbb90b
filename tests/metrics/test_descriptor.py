"""The real SSCD descriptor, on random weights in the published layout."""

import hashlib
import warnings
import zlib

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from dori.core.errors import InputError
from dori.metrics.networks.descriptor import SSCDDescriptor

WIDTHS, DEPTHS = (64, 128, 256, 512), (3, 4, 6, 3)


def published(dims: int = 512) -> dict[str, torch.Tensor]:
    """Random weights under the names of the authors' model.py with TV_RESNET50."""
    state: dict[str, torch.Tensor] = {}

    def draw(name, *shape, scale=1.0):
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        state[name] = torch.randn(*shape, generator=generator) * scale

    def conv(name, out, channels, kernel):
        draw(f"{name}.weight", out, channels, kernel, kernel, scale=(channels * kernel**2) ** -0.5)

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean"):
            draw(f"{name}.{part}", channels, scale=0.1)
        state[f"{name}.weight"] += 1
        draw(f"{name}.running_var", channels, scale=0.1)
        state[f"{name}.running_var"].abs_().add_(1)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("backbone.conv1", 64, 3, 7)
    norm("backbone.bn1", 64)
    channels = 64
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), 1):
        for block in range(depth):
            name = f"backbone.layer{stage}.{block}"
            sizes = [(width, channels, 1), (width, width, 3), (4 * width, width, 1)]
            for i, (out, into, kernel) in enumerate(sizes, 1):
                conv(f"{name}.conv{i}", out, into, kernel)
                norm(f"{name}.bn{i}", out)
            if block == 0:
                conv(f"{name}.downsample.0", 4 * width, channels, 1)
                norm(f"{name}.downsample.1", 4 * width)
            channels = 4 * width
    draw("backbone.fc.weight", dims, 2048, scale=2048**-0.5)
    draw("backbone.fc.bias", dims, scale=0.1)
    return state


def torchvision_forward(state, images, size):
    """ResNet-50 v1.5 by hand: the stride is in the 3 x 3 convolution."""

    def bn(name, x):
        mean, var, weight, bias = (
            state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)

    x = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / std[:, None, None]
    x = F.relu(bn("backbone.bn1", F.conv2d(x, state["backbone.conv1.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, depth in enumerate(DEPTHS, 1):
        for block in range(depth):
            name, stride = f"backbone.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.relu(bn(f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"])))
            y = F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = bn(f"{name}.bn3", F.conv2d(F.relu(bn(f"{name}.bn2", y)), state[f"{name}.conv3.weight"]))
            if block == 0:
                short = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = bn(f"{name}.downsample.1", short)
            x = F.relu(x + y)
    x = (x.clamp(min=1e-6) ** 3).mean((2, 3)) ** (1 / 3)
    return F.normalize(F.linear(x, state["backbone.fc.weight"], state["backbone.fc.bias"]))


@pytest.fixture(scope="module")
def state():
    return published()


@pytest.fixture(scope="module")
def path(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("sscd") / "sscd_disc_mixup.torchvision.pt"
    torch.save(state, path)
    return path


def test_it_is_the_published_network(state, path):
    descriptor = SSCDDescriptor(path, size=96)
    assert descriptor.name == "sscd_disc_mixup@96" and SSCDDescriptor(path).name.endswith("@320")
    assert len(descriptor.state_dict()) == len(state)
    assert not any(p.is_meta or p.requires_grad for p in descriptor.parameters())
    images = torch.rand(2, 3, 120, 80, generator=torch.Generator().manual_seed(0))
    got = descriptor.train()(images)  # stays in evaluation mode
    torch.testing.assert_close(got, torchvision_forward(state, images, 96), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(got.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(descriptor(images[:1]), got[:1], rtol=1e-4, atol=1e-5)


def test_safetensors_hold_the_same(state, path, tmp_path):
    # half precision and without the counters, as a converted file may be
    kept = {k: v.half() for k, v in state.items() if "tracked" not in k}
    save_file(kept, tmp_path / "sscd.safetensors")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    a, b = (
        SSCDDescriptor(path, 64)(images),
        SSCDDescriptor(tmp_path / "sscd.safetensors", 64)(images),
    )
    assert b.dtype == torch.float32
    torch.testing.assert_close(a, b, rtol=0, atol=5e-3)


def test_another_file_is_refused(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    SSCDDescriptor(path, sha256=digest[:12])
    with pytest.raises(InputError, match=f"has sha256 {digest}, not 'abc'"):
        SSCDDescriptor(path, sha256="abc")
    with pytest.raises(InputError, match=r"none.pt does not exist: give the authors' sscd_disc_mixup"):
        SSCDDescriptor(path.with_name("none.pt"))
    with pytest.raises(InputError, match="size 8 is too small"):
        SSCDDescriptor(path, size=8)


def test_foreign_formats_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(InputError, match="is TorchScript, a program"):
        SSCDDescriptor(path)
    torch.save(nn.Linear(2, 2), path)  # a pickled module
    with pytest.raises(InputError, match=r"no plain weights.*give the authors' sscd_disc_mixup"):
        SSCDDescriptor(path)
    torch.save({"model": {}, "epoch": 3}, path)
    with pytest.raises(InputError, match="holds more than a state dict"):
        SSCDDescriptor(path)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"no plain weights.*give the authors' sscd_disc_mixup"):
        SSCDDescriptor(path)
    path.with_suffix(".safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"no plain weights.*give the authors' sscd_disc_mixup"):
        SSCDDescriptor(path.with_suffix(".safetensors"))


def test_other_layouts_are_refused(state, tmp_path):
    path = tmp_path / "sscd.safetensors"
    head = ("backbone.fc.weight", "backbone.fc.bias")
    classy = {k: v for k, v in state.items() if k not in head}
    classy |= {"embeddings.1.weight": state[head[0]], "embeddings.1.bias": state[head[1]]}
    save_file(classy, path)
    with pytest.raises(InputError, match=r"the .classy.pt"):
        SSCDDescriptor(path)
    save_file({**state, head[0]: torch.zeros(1024, 2048)}, path)
    with pytest.raises(
        InputError, match=r"does not fit \(size mismatch for embedding.weight.*ResNet-50 with 512 dimensions"
    ):
        SSCDDescriptor(path)


def test_headers_say_as_much_as_the_whole_file(state, path, tmp_path):
    assert all(p.is_meta for p in SSCDDescriptor(path, device="meta").parameters())
    save_file(state, tmp_path / "whole.safetensors")
    SSCDDescriptor(tmp_path / "whole.safetensors", device="meta")
    save_file({**state, "backbone.fc.weight": torch.zeros(1024, 2048)}, tmp_path / "large.safetensors")
    for name in (path, tmp_path / "whole.safetensors"):
        half = tmp_path / f"half{name.suffix}"
        half.write_bytes(name.read_bytes()[: name.stat().st_size // 2])
    (tmp_path / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    for name in ("large.safetensors", "half.safetensors", "half.pt", "pointer.pt"):
        with pytest.raises(InputError, match=name) as whole:
            SSCDDescriptor(tmp_path / name)
        with pytest.raises(InputError) as headers:
            SSCDDescriptor(tmp_path / name, device="meta")
        assert str(headers.value) == str(whole.value)
        assert "\n" not in str(whole.value)


def test_images_in_another_range_are_refused(path):
    with pytest.raises(ValueError, match=r"torch.uint8 .* give float \(n, 3, h, w\)"):
        SSCDDescriptor(path)(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
