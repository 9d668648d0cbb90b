"""Images to features: the same in any batch, each target's own, in order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from dori.core.errors import InputError
from dori.core.predict import Predictor
from dori.data import Ordinary, Target
from dori.data.targets import tensor
from dori.diffusion.images import file_name
from dori.metrics.networks.clip import CLIPAlignment
from dori.minnow.descriptor import Descriptor
from dori.steps.measuring.evaluation import Evaluation
from tests import tiny

MASK = np.zeros((tiny.SIDE, tiny.SIDE), bool)
MASK[4:20, 8:24] = True
TARGETS = [
    Target("verbatim/0", tiny.prompts(1, 0)[0], "verbatim", tiny.picture(0)),
    Target("template/1", tiny.prompts(1, 1)[0], "template", tiny.picture(1), (tiny.picture(7),), MASK),
    Target("seen/2", tiny.prompts(1, 2)[0], "seen", tiny.picture(2)),
]
PROMPTS = [target.prompt for target in TARGETS]


@pytest.fixture(scope="module")
def make(measures: Path) -> Callable[..., Evaluation]:
    clip = partial(CLIPAlignment, path=measures / "clip", mean=[0.5] * 3, std=[0.5] * 3)
    descriptor = partial(Descriptor, **tiny.DESCRIPTOR, path=str(measures / "descriptor.safetensors"))
    return lambda **settings: Evaluation(descriptor, clip, clip, **{"resolution": tiny.SIDE, **settings})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of each target."""
    folder = tmp_path_factory.mktemp("drawn")
    for i in range(len(TARGETS)):
        for j in range(2):
            Image.fromarray(tiny.picture(10 + 2 * i + j)).save(folder / file_name(i, j))
    return folder


def unit(*images: np.ndarray) -> torch.Tensor:
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images]).float() / 255


def features(call: Callable[[Path], None], folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    call(folder)
    assert [p.name for p in folder.iterdir()] == ["features.safetensors"]
    return load_file(folder / "features.safetensors")


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_images_are_described_in_order_in_any_batch(
    make: Callable[..., Evaluation], drawn: Path, predictor: Predictor, tmp_path: Path, batch: int
) -> None:
    evaluation = make(batch=batch)
    found = features(
        lambda out: evaluation.describe(drawn, TARGETS, PROMPTS, 2, out, predictor), tmp_path / "out"
    )
    networks = evaluation.networks
    with torch.no_grad():
        for i, target in enumerate(TARGETS):
            images = unit(tiny.picture(10 + 2 * i), tiny.picture(11 + 2 * i))
            greyed = images.clone()
            if target.changing is not None:
                greyed[:, :, MASK] = 0.5
            expected = {
                "sscd": networks["sscd"](images), "frame": networks["sscd"](greyed),
                "clip": networks["clip"].image_features(images), "quality": networks["quality"](images),
                "text": networks["clip"].text_features([target.prompt])[0],
            }  # fmt: skip
            for name, value in expected.items():
                torch.testing.assert_close(found[name][i], value, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found["frame"][1], found["sscd"][1], atol=1e-4)


def test_an_image_is_a_copy_where_its_descriptor_is_near_any_member(make: Callable[..., Evaluation]) -> None:
    """Any of a target's images, to any picture of its family; 0.9999: to itself alone."""
    evaluation, other = make(threshold=0.9999, batch=2), unit(tiny.picture(30))[0]
    members = [unit(tiny.picture(i))[0] for i in (0, 7, 3)]
    images = torch.stack([torch.stack([other, member]) for member in members]).mul(255).byte()
    assert evaluation.replicated(images, TARGETS).tolist() == [True, True, False]
    assert evaluation.replicated(images[:1, :1], TARGETS[:1]).tolist() == [False]
    assert evaluation.replicated(images[[2, 1]], TARGETS[2:] + TARGETS[1:2]).tolist() == [False, True]


def test_ordinary_captions_have_one_image_each(
    make: Callable[..., Evaluation], drawn: Path, predictor: Predictor, tmp_path: Path
) -> None:
    found = features(
        lambda out: make(batch=2).describe(drawn, [], PROMPTS, 1, out, predictor), tmp_path / "out"
    )
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "clip": (3, 1, 4), "quality": (3, 1, 4), "text": (3, 4), "blank": (3, 1),
    }  # fmt: skip


def test_training_images_are_described_with_their_families(
    make: Callable[..., Evaluation], predictor: Predictor, tmp_path: Path
) -> None:
    evaluation = make()
    found = features(lambda out: evaluation.describe_originals(TARGETS, out, predictor), tmp_path / "out")
    assert found["count"].tolist() == [1, 2, 1]
    with torch.no_grad():
        expected = evaluation.networks["sscd"](unit(*(tiny.picture(i) for i in (0, 1, 7, 2))))
        greyed = unit(tiny.picture(1))
        greyed[:, :, MASK] = 0.5
        frame = evaluation.networks["sscd"](greyed)
    torch.testing.assert_close(found["sscd"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["frame"][1:2], frame, rtol=1e-4, atol=1e-5)
    assert len(found["frame"]) == 3


def test_held_out_pictures_are_described_in_order(
    make: Callable[..., Evaluation], predictor: Predictor, tmp_path: Path
) -> None:
    pictures = [tiny.picture(30 + i) for i in range(5)]
    evaluation = make(batch=2)
    found = features(
        lambda out: evaluation.describe_reference(Ordinary(tiny.prompts(5), pictures), out, predictor),
        tmp_path / "out",
    )
    with torch.no_grad():
        expected = evaluation.networks["quality"](unit(*pictures))
    torch.testing.assert_close(found["quality"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (48, 64), (64, 48), (20, 90)])
def test_the_changing_region_lies_where_it_lies_in_the_picture(
    make: Callable[..., Evaluation], shape: tuple[int, int]
) -> None:
    """Of an oblong picture the middle is taken: of its mask, too."""
    changing = np.zeros(shape, bool)
    changing[: shape[0] // 4] = True
    changing[:, : shape[1] // 4] = True
    picture = np.repeat(changing[..., None], 3, axis=2).astype(np.uint8) * 255
    target = Target("template/0", "", "template", picture, changing=changing)
    evaluation = make()
    seen = tensor([target.pixels()], (tiny.SIDE,) * 2)[0, 0] > 127
    assert (evaluation._changing(target) != seen).float().mean() < 0.05  # its edges, by rounding


def test_images_of_another_size_are_brought_to_the_resolution(make: Callable[..., Evaluation]) -> None:
    images = torch.from_numpy(tiny.picture(0, 64, 64)).permute(2, 0, 1)[None]
    found = make()._unit(images)
    expected = F.interpolate(images / 255, (32, 32), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(found, expected)


def test_networks_are_made_once_and_frozen(make: Callable[..., Evaluation]) -> None:
    evaluation = make()
    assert evaluation.networks is evaluation.networks
    for network in evaluation.networks.values():
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_every_file_is_opened_before_any_work_and_no_weights_are_read(
    make: Callable[..., Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = make()
    evaluation.check()
    assert "networks" not in vars(evaluation)
    asked = []

    def device_of(device: str = "cpu") -> None:
        asked.append(device)

    Evaluation(device_of, device_of, lambda: asked.append("whole")).check()
    assert asked == ["meta", "meta", "whole"]


@pytest.mark.parametrize("part", ["descriptor", "alignment", "features"])
def test_a_part_that_cannot_be_made_is_named(make: Callable[..., Evaluation], part: str) -> None:
    evaluation = make()
    setattr(evaluation, part, lambda: 1 / 0)
    with pytest.raises(InputError, match=f"evaluation.{part}: ZeroDivisionError"):
        evaluation.check()


def test_weights_that_are_no_numbers_are_refused(make: Callable[..., Evaluation]) -> None:
    evaluation = make()
    network = evaluation.descriptor()
    network.head.bias.data[0] = torch.nan
    evaluation.descriptor = lambda: network
    with pytest.raises(InputError, match=r"'sscd'.* no numbers"):
        _ = evaluation.networks
