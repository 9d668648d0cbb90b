"""Inception-v3 by hand, on random weights under the names of the published file."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dori.core.errors import InputError
from dori.metrics.networks.inception import InceptionFeatures
from dori.metrics.networks.inception_v3 import inception_v3, squashed

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Weights that keep the scale of what goes through them, and statistics that matter."""
    generator = torch.Generator().manual_seed(0)
    found: State = {}
    with torch.device("meta"):
        layout = inception_v3().state_dict()
    for name, each in layout.items():
        if each.ndim == 4:
            found[name] = torch.randn(each.shape, generator=generator) * (2 / each[0].numel()) ** 0.5
        elif each.ndim == 1:
            found[name] = torch.rand(each.shape, generator=generator) * 0.2 + (
                0.9 if name.endswith(("running_var", "weight")) else -0.1
            )
        else:
            found[name] = torch.tensor(3)
    found["fc.weight"], found["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    return found


@pytest.fixture(scope="module")
def path(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def by_hand(state: State, x: Tensor) -> Tensor:
    """The network of Szegedy et al., as its figures show it, with the pools of the release of 2015."""

    def conv(name: str, x: Tensor, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, var = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
        weight, bias = state[f"{name}.bn.weight"], state[f"{name}.bn.bias"]
        return F.batch_norm(x, mean, var, weight, bias, eps=0.001).relu()

    def mean3(x: Tensor) -> Tensor:
        """Of 3 x 3 pixels, those outside of the picture not counted."""
        ones = torch.ones(1, 1, 3, 3).expand(x.shape[1], 1, 3, 3)
        total = F.conv2d(x, ones, padding=1, groups=x.shape[1])
        return total / F.conv2d(torch.ones_like(x), ones, padding=1, groups=x.shape[1])

    def a(name: str, x: Tensor) -> Tensor:
        five = conv(f"{name}.branch5x5_2", conv(f"{name}.branch5x5_1", x), padding=2)
        three = conv(f"{name}.branch3x3dbl_2", conv(f"{name}.branch3x3dbl_1", x), padding=1)
        three = conv(f"{name}.branch3x3dbl_3", three, padding=1)
        pooled = conv(f"{name}.branch_pool", mean3(x))
        return torch.cat([conv(f"{name}.branch1x1", x), five, three, pooled], 1)

    def b(name: str, x: Tensor) -> Tensor:
        double = conv(f"{name}.branch3x3dbl_2", conv(f"{name}.branch3x3dbl_1", x), padding=1)
        double = conv(f"{name}.branch3x3dbl_3", double, 2)
        return torch.cat([conv(f"{name}.branch3x3", x, 2), double, F.max_pool2d(x, 3, 2)], 1)

    def c(name: str, x: Tensor) -> Tensor:
        seven = conv(f"{name}.branch7x7_2", conv(f"{name}.branch7x7_1", x), padding=(0, 3))
        seven = conv(f"{name}.branch7x7_3", seven, padding=(3, 0))
        double = conv(f"{name}.branch7x7dbl_2", conv(f"{name}.branch7x7dbl_1", x), padding=(3, 0))
        double = conv(f"{name}.branch7x7dbl_3", double, padding=(0, 3))
        double = conv(f"{name}.branch7x7dbl_4", double, padding=(3, 0))
        double = conv(f"{name}.branch7x7dbl_5", double, padding=(0, 3))
        pooled = conv(f"{name}.branch_pool", mean3(x))
        return torch.cat([conv(f"{name}.branch1x1", x), seven, double, pooled], 1)

    def d(name: str, x: Tensor) -> Tensor:
        three = conv(f"{name}.branch3x3_2", conv(f"{name}.branch3x3_1", x), 2)
        seven = conv(f"{name}.branch7x7x3_2", conv(f"{name}.branch7x7x3_1", x), padding=(0, 3))
        seven = conv(f"{name}.branch7x7x3_3", seven, padding=(3, 0))
        return torch.cat([three, conv(f"{name}.branch7x7x3_4", seven, 2), F.max_pool2d(x, 3, 2)], 1)

    def e(name: str, x: Tensor, pooled: Tensor) -> Tensor:
        three = conv(f"{name}.branch3x3_1", x)
        double = conv(f"{name}.branch3x3dbl_2", conv(f"{name}.branch3x3dbl_1", x), padding=1)
        return torch.cat(
            [
                conv(f"{name}.branch1x1", x),
                conv(f"{name}.branch3x3_2a", three, padding=(0, 1)),
                conv(f"{name}.branch3x3_2b", three, padding=(1, 0)),
                conv(f"{name}.branch3x3dbl_3a", double, padding=(0, 1)),
                conv(f"{name}.branch3x3dbl_3b", double, padding=(1, 0)),
                conv(f"{name}.branch_pool", pooled),
            ], 1,
        )  # fmt: skip

    x = conv("Conv2d_2b_3x3", conv("Conv2d_2a_3x3", conv("Conv2d_1a_3x3", x, 2)), padding=1)
    x = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", F.max_pool2d(x, 3, 2)))
    x = F.max_pool2d(x, 3, 2)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = a(name, x)
    x = b("Mixed_6a", x)
    for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = c(name, x)
    x = d("Mixed_7a", x)
    x = e("Mixed_7b", x, mean3(x))
    x = e("Mixed_7c", x, F.max_pool2d(x, 3, 1, 1))
    return x.mean((2, 3))


def pictures(n: int, h: int, w: int) -> Tensor:
    """uint8, smooth with noise on top."""
    generator = torch.Generator().manual_seed(h * w)
    coarse = F.interpolate(torch.rand(n, 3, 5, 5, generator=generator), (h, w), mode="bicubic")
    x = coarse + 0.1 * torch.randn(n, 3, h, w, generator=generator)
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)


def test_it_is_the_published_network(state: State, path: Path, sha256: str) -> None:
    network = InceptionFeatures(path, sha256)
    # Inception-v3 has 27,161,264 weights with its classes and its auxiliary head, 21,785,568 without
    assert sum(each.numel() for each in network.parameters()) == 21_785_568
    assert not any(each.requires_grad for each in network.parameters())
    x = pictures(2, 299, 299)
    found, expected = network(x / 255), by_hand(state, (x.float() - 128) / 128)
    assert found.shape == (2, 2048) and found.std(0).mean() > 0.01 * found.mean()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.train()(x[1:] / 255)[0], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 64), (299, 299), (512, 400), (7, 350)], ids=str)
def test_pictures_are_scaled_as_tensorflow_1_did(shape: tuple[int, int]) -> None:
    """Pixel i of the output lies at i * length / 299 of the input, or at its last."""
    x = pictures(1, *shape)[0].numpy().astype(np.float64)
    places = [np.arange(299) * length / 299 for length in shape]
    columns = [[np.interp(places[1], np.arange(shape[1]), row) for row in channel] for channel in x]
    expected = np.stack([
        np.stack([np.interp(places[0], np.arange(shape[0]), column) for column in np.array(channel).T], 1)
        for channel in columns
    ])  # fmt: skip
    found = squashed(torch.from_numpy(x).float()[None])[0]
    assert found.shape == (3, 299, 299)
    assert np.abs(found.numpy() - expected).max() < 0.01  # of 255


def test_it_equals_torch_fidelity(state: State, path: Path, sha256: str) -> None:
    """On random weights, from the same file."""
    module = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3",
        reason="torch-fidelity is not installed: it needs a torchvision that fits torch",
    )
    theirs = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
    ours = InceptionFeatures(path, sha256)
    for shape in ((64, 64), (512, 512), (300, 417)):
        x = pictures(2, *shape)
        (expected,) = theirs(x)
        torch.testing.assert_close(ours(x / 255), expected, rtol=1e-4, atol=1e-4)


def test_what_is_not_the_published_file_is_refused(state: State, path: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none\.pth does not exist.*weights-inception-2015-12-05-6726825d\.pth"
    ):
        InceptionFeatures(tmp_path / "none.pth")
    with pytest.raises(InputError, match="not '6726825d'"):
        InceptionFeatures(path)

    def refused(changed: State, match: str) -> None:
        torch.save(changed, tmp_path / "other.pth")
        digest = hashlib.sha256((tmp_path / "other.pth").read_bytes()).hexdigest()
        for device in ("cpu", "meta"):
            with pytest.raises(InputError, match=match):
                InceptionFeatures(tmp_path / "other.pth", digest, device=device)

    refused({"fc.weight": torch.zeros(1000, 2048)}, r"no layer fc of 1008 x 2048 weights, but \(1000, 2048\)")
    refused({"fc.weight": state["fc.weight"]}, r"does not fit \(Missing key.*Conv2d_1a_3x3")


def test_a_check_reads_no_weights(path: Path, sha256: str) -> None:
    assert all(each.is_meta for each in InceptionFeatures(path, sha256, device="meta").parameters())


def test_images_in_another_range_are_refused(path: Path, sha256: str) -> None:
    with pytest.raises(ValueError, match="give float"):
        InceptionFeatures(path, sha256)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
