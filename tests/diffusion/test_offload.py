"""Networks that are on the device only while they work, and activations that are computed again."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dori.core import config
from dori.core.neutral import neutral_of
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from tests import tiny
from tests.diffusion.pipelines import T5_TOKENS, saved

DEVICE = torch.device("cpu", 0)  # to torch another device than "cpu", where all is loaded


def made(folder: Path, **settings: object) -> Family:
    told = {"sampling_steps": 2, "batch": 4, "text_tokens": T5_TOKENS, "size": (32, 24)}
    return pretrained(str(folder), name="tiny", **(told | settings))


@pytest.fixture(scope="module", params=["xl", "sd3", "flux", "pixart"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(request.param, tmp_path_factory.mktemp("offload") / "pipeline")


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which networks went where, in their order."""
    seen: list[tuple[str, str]] = []
    cpu, to = nn.Module.cpu, nn.Module.to

    def moved(self: nn.Module, *arguments: object, **named: object) -> nn.Module:
        seen.append((type(self).__name__, str(arguments[0])))
        return to(self, *arguments, **named)

    monkeypatch.setattr(nn.Module, "to", moved)
    monkeypatch.setattr(
        nn.Module, "cpu", lambda self: (seen.append((type(self).__name__, "cpu")), cpu(self))[1]
    )
    monkeypatch.setattr(Family, "device", DEVICE)
    return seen


def test_text_encoders_and_denoiser_take_turns(folder: Path, moves: list[tuple[str, str]]) -> None:
    model = made(folder, offload=True)
    assert model.networks == [model.denoiser]
    denoiser = type(model.denoiser).__name__
    texts = [type(getattr(model.pipeline, n)).__name__ for n in model.components.parts if "text" in n]
    moves.clear()
    model.encode_prompts(tiny.prompts(2))
    there, back = [(name, "cpu:0") for name in texts], [(name, "cpu") for name in texts]
    assert moves == [(denoiser, "cpu"), *there, *back, (denoiser, "cpu:0")]
    moves.clear()
    model.decode(torch.zeros(1, *model.latent_shape))
    assert moves == [("AutoencoderKL", "cpu:0"), ("AutoencoderKL", "cpu")]


def test_a_denoiser_that_is_trained_stays(folder: Path, moves: list[tuple[str, str]]) -> None:
    model = made(folder, offload=True)
    model.denoiser.requires_grad_(True)
    moves.clear()
    model.encode_prompts(tiny.prompts(1))
    assert type(model.denoiser).__name__ not in {name for name, _ in moves}
    assert moves


def test_nothing_moves_that_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(folder, offload=True)
    assert model.device == torch.device("cpu")
    monkeypatch.setattr(nn.Module, "cpu", None)
    monkeypatch.setattr(type(model.pipeline.vae), "to", None)
    model.encode_images(torch.zeros(1, 3, 24, 32, dtype=torch.uint8))
    model.encode_prompts(tiny.prompts(1))


def test_pictures_are_the_same(folder: Path) -> None:
    drawn = []
    for offload in (False, True):
        model = made(folder, offload=offload)
        noise = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0))
        drawn.append(model.sample(model.encode_prompts(tiny.prompts(2)), noise))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("family", ["xl", "sd3", "flux", "pixart"])
def test_gradients_are_the_same_and_less_is_kept(family: str, tmp_path: Path) -> None:
    folder, found, kept = saved(family, tmp_path / "pipeline"), [], []
    for checkpointed in (False, True):
        model = made(folder, gradient_checkpointing=checkpointed, dtype="float64")
        y = model.encode_prompts(tiny.prompts(2)).requires_grad_(True)
        noise = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0)).double()
        sizes: dict[int, int] = {}

        def pack(value: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            return value

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            loss = model.loss(noise, y, noise.flip(0), torch.tensor([3, 7])).sum()
        kept.append(sum(sizes.values()))
        loss.backward()
        found.append(y.grad)
    assert torch.equal(*found)
    assert kept[1] < 0.7 * kept[0]


def test_neither_is_what_a_model_is(folder: Path) -> None:
    assert {"offload", "gradient_checkpointing"} <= set(neutral_of("dori.diffusion.pretrained"))
    assert made(folder).fingerprint == made(folder, offload=True, gradient_checkpointing=True).fingerprint


@pytest.mark.parametrize(("has", "wanted"), [(True, "bfloat16"), (False, "float16")])
def test_half_precision_is_what_the_device_has(
    monkeypatch: pytest.MonkeyPatch, has: bool, wanted: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has)
    assert config.half() == wanted
