"""Stable Diffusion's true shapes without its weights, and the statistics that NeMo's authors publish."""

import pickle
import re
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from dori.core.errors import InputError
from dori.diffusion.layers import layers_of
from dori.diffusion.unets import UNetFamily
from dori.pruning.nemo.statistics import Statistics

SETTINGS = {
    "SD 1.4": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "SD 2": {
        "cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True,
    },
}  # fmt: skip
WIDTHS = [320, 320, 640, 640, 1280, 1280, 1280]
PUBLISHED = [
    *(f"down_blocks.{block}.attentions.{i}" for block in range(3) for i in range(2)),
    "mid_block.attentions.0",
]
UP = [f"up_blocks.{block}.attentions.{i}" for block in (1, 2, 3) for i in range(3)]


@pytest.fixture(scope="module", params=SETTINGS)
def unet(request: pytest.FixtureRequest) -> nn.Module:
    """Shapes alone: the meta device has no numbers."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64, in_channels=4, out_channels=4, layers_per_block=2,
            block_out_channels=(320, 640, 1280, 1280),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3), **SETTINGS[request.param],
        )  # fmt: skip


def test_nemo_finds_seven_layers_of_5760_neurons_in_the_published_order(unet: nn.Module) -> None:
    layers = layers_of(unet, UNetFamily.LAYERS, "values", "this one")
    assert list(layers) == [f"{place}.transformer_blocks.0.attn2.to_v" for place in PUBLISHED]
    assert [layer.out_features for layer in layers.values()] == WIDTHS
    assert sum(WIDTHS) == 5760
    assert {layer.in_features for layer in layers.values()} == {unet.config.cross_attention_dim}
    assert all(layer.bias is None for layer in layers.values())


def test_wanda_finds_sixteen_layers_from_down_over_mid_to_up(unet: nn.Module) -> None:
    layers = layers_of(unet, UNetFamily.LAYERS, "feed_forward", "this one")
    assert list(layers) == [f"{place}.transformer_blocks.0.ff.net.2" for place in [*PUBLISHED, *UP]]
    widths = [*WIDTHS, *(width for width in (1280, 640, 320) for _ in range(3))]
    assert len(widths) == 16
    assert [tuple(m.weight.shape) for m in layers.values()] == [(width, 4 * width) for width in widths]


def test_all_values_are_the_published_ones_and_those_of_the_up_blocks(unet: nn.Module) -> None:
    layers = layers_of(unet, UNetFamily.LAYERS, "all_values", "this one")
    assert list(layers) == [f"{place}.transformer_blocks.0.attn2.to_v" for place in [*PUBLISHED, *UP]]


@pytest.fixture(scope="module")
def published(shared: Path) -> Path:
    path = shared / "nemo_sd14_activation_statistics.pt"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def test_the_published_statistics_are_those_of_the_seven_layers(published: Path, unet: nn.Module) -> None:
    statistics = Statistics.load(published)
    statistics.check(layers_of(unet, UNetFamily.LAYERS, "values", "this one"))
    assert [len(part) for part in statistics.mean] == [len(part) for part in statistics.std] == WIDTHS
    assert all((part > 0).all() for part in (*statistics.mean, *statistics.std))
    with pytest.raises(InputError, match=r"the model's have \[320, 320, 640, 640, 1280, 1280, 1280, 1280"):
        statistics.check(layers_of(unet, UNetFamily.LAYERS, "all_values", "this one"))


def synthetic(statistics: Statistics) -> list[Tensor]:
    """Answers that are ordinary but for a few neurons: exactly what a caption's could be."""
    answers = []
    for layer, (mean, std) in enumerate(zip(statistics.mean, statistics.std, strict=True)):
        a = mean + 0.5 * std
        for place, deviations in {3: 5.25, 10: 4.75, 50: -6.0, 100 + layer: 2.0, 200: -1.25}.items():
            a[place] = mean[place] + deviations * std[place]
        answers.append(a)
    return answers


@pytest.mark.parametrize(("theta", "k", "far"), [
    (5.0, 0, [3, 50]), (4.5, 2, [3, 10, 50]), (1.5, 5, [3, 10, 50, 100]), (1.0, 16, [3, 10, 50, 100, 200]),
])  # fmt: skip
def test_the_published_statistics_select_what_a_hand_computation_selects(
    published: Path, theta: float, k: int, far: list[int]
) -> None:
    means, deviations = torch.load(published, weights_only=True)
    statistics = Statistics.load(published)
    answers = synthetic(statistics)
    found = statistics.outliers(answers, theta, k)
    for layer, a in enumerate(answers):
        at = [place + layer if place == 100 else place for place in far]
        values, mean, std = a.tolist(), means[layer].tolist(), deviations[layer].tolist()
        by_hand = [i for i, value in enumerate(values) if abs(value - mean[i]) / std[i] > theta]
        strongest = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
        assert by_hand == at
        assert found[layer] == by_hand + strongest


def test_statistics_that_are_any_other_pickle_are_refused_and_never_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "harm",))

    def refused(path: Path) -> None:
        with pytest.raises(InputError, match=re.escape(f"cannot read pruning.statistics {path}: ")):
            Statistics.load(path)
        assert not (tmp_path / "harm").exists()

    torch.save([Harm(), Harm()], tmp_path / "zip.pt")
    refused(tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps((Harm(), Harm())))
    refused(tmp_path / "plain.pt")
    torch.save({"mean": 1, "std": 2}, tmp_path / "other.pt")
    refused(tmp_path / "other.pt")
    torch.save(([torch.ones(2, 2)], [torch.ones(2, 2)]), tmp_path / "matrices.pt")
    refused(tmp_path / "matrices.pt")
    refused(tmp_path / "nowhere.pt")
