"""Images of embeddings: noise by name, files that outlive a killed run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dori.core.predict import Predictor
from dori.diffusion import StableDiffusion
from dori.diffusion.images import draw, file_name, load
from tests import tiny

Make = Callable[..., StableDiffusion]
NAMES = ["verbatim/0000", "verbatim/0001", "seen/0000"]


def drawn(
    model: StableDiffusion, names: list[str], folder: Path, predictor: Predictor, seed: int = 0
) -> list:
    folder.mkdir(exist_ok=True)
    # the embedding belongs to the name: its order must not matter either
    y = torch.cat([model.encode_prompts(tiny.prompts(1, NAMES.index(name))) for name in names])
    draw(model, y, names, 2, folder, predictor, seed)
    return [load(folder, i, 2) for i in range(len(names))]


def test_an_image_depends_on_its_name_and_number_alone(
    make_diffusion: Make, predictor: Predictor, tmp_path: Path
) -> None:
    together = drawn(make_diffusion(batch=8), NAMES, tmp_path / "a", predictor)
    turned = drawn(make_diffusion(batch=2), NAMES[::-1], tmp_path / "b", predictor)
    for ours, theirs in zip(together, turned[::-1], strict=True):
        # another batch may round a pixel the other way
        assert (ours.int() - theirs.int()).abs().max() <= 1
    assert (together[0][0].int() - together[0][1].int()).abs().max() > 1  # two seeds are two images
    other = drawn(make_diffusion(), NAMES[:1], tmp_path / "c", predictor, seed=1)
    assert not torch.equal(other[0], together[0])


def test_threads_draw_the_same_images(
    make_diffusion: Make, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small chunks, three at a time on one model, and one after the other."""
    model, threads = make_diffusion(batch=2), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = drawn(model, NAMES, tmp_path / "a", predictor)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr("dori.core.predict.AT_ONCE", 1)
    alone = drawn(model, NAMES, tmp_path / "b", predictor)
    for ours, theirs in zip(together, alone, strict=True):
        assert (ours.int() - theirs.int()).abs().max() <= 1


def test_models_share_the_noise_of_a_name(make_diffusion: Make, predictor: Predictor, tmp_path: Path) -> None:
    """Paired comparisons, SSCD_Gen above all, rest on it."""
    seen = []
    for prediction in ("epsilon", "v_prediction"):
        model = make_diffusion(prediction, guidance=1)
        hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        drawn(model, NAMES[:1], tmp_path / prediction, predictor)
        hook.remove()
    first, second = seen[0], seen[len(seen) // 2]
    assert torch.equal(first, second)


def test_images_that_are_there_are_kept(make_diffusion: Make, predictor: Predictor, tmp_path: Path) -> None:
    model = make_diffusion(batch=4)  # two images per chunk: one prompt's
    whole = drawn(model, NAMES, tmp_path / "a", predictor)
    samples = []
    (tmp_path / "a" / file_name(1, 1)).unlink()
    (tmp_path / "a" / (file_name(1, 1) + ".tmp")).write_bytes(b"half a picture")
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    again = drawn(model, NAMES, tmp_path / "a", predictor)
    hook.remove()
    assert sum(samples) == 2 * model.evaluations_per_image
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    assert sorted(p.suffix for p in (tmp_path / "a").iterdir()) == [".png"] * 6


def test_files_are_named_by_place_and_seed() -> None:
    assert file_name(12, 3) == "00012_03.png"
