"""The recipe from nothing to exported weights, at a size that learns nothing, and stopped on the way."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from dori.minnow import recipe, student, train
from dori.minnow.descriptor import Descriptor
from dori.minnow.material import Material
from dori.minnow.recipe import PHASES
from dori.minnow.variations import Decode

SMALL = [  # fewer pictures, fewer steps
    "population.ordinary=72", "population.verbatim=2", "population.families=1",
    "autoencoder.decoder.steps=2", "autoencoder.decoder.batch=4", "autoencoder.encoder.steps=2",
    "autoencoder.refinement.steps=2", "autoencoder.refinement.batch=4",
    "autoencoder.encoder.batch=4", "clip.steps=2", "clip.batch=8", "student.origins=4", "student.steps=2",
    "student.batch=8", "student.width=16", "unet.batch=4",
    *(f"{p}.batch=4" for p in PHASES[1:]),
    *(f"{phase}.steps=2" for phase in PHASES),
    *(f"{p}.{k}={v}" for p in PHASES[1:] for k, v in (("memorized_per_batch", 2), ("anneal", 1))),
]  # fmt: skip


def words(work: Path, *more: str) -> list[str]:
    return [
        *more,
        "--work",
        str(work),
        "--out",
        str(work / "weights"),
        *(f"--set={change}" for change in SMALL),
    ]


def undo(code: tuple[torch.Tensor, torch.Tensor]) -> Decode:
    """The linear code's own inverse, in a trained decoder's place."""
    matrix, mean = code

    def decode(z: torch.Tensor) -> torch.Tensor:
        patches = z.flatten(2).permute(0, 2, 1) @ torch.linalg.pinv(matrix) + mean
        return torch.nn.functional.fold(patches.permute(0, 2, 1), 64, 8, stride=8)

    return decode


class Teacher(torch.nn.Module):
    """Some fixed projection in SSCD's place."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weights = torch.randn(3 * 64, 512, generator=torch.Generator().manual_seed(0))
        small = torch.nn.functional.adaptive_avg_pool2d(images, 8).flatten(1)
        return torch.nn.functional.normalize((small - 0.5) @ weights, dim=1)


@pytest.mark.slow
def test_the_whole_recipe_and_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "SSCDInt8", Teacher)
    train.main(words(tmp_path))
    out = tmp_path / "weights"
    pipeline = StableDiffusionPipeline.from_pretrained(out / "minnow", use_safetensors=True)
    twin = UNet2DConditionModel.from_pretrained(out / "twin" / "unet", use_safetensors=True)
    mine, theirs = pipeline.unet.state_dict(), twin.state_dict()
    learnt = [name for name, part in mine.items() if not torch.equal(part, theirs[name])]
    assert learnt and not any(name.startswith("up_blocks") and "attn2" in name for name in learnt)
    assert pipeline.vae.config.latent_channels == pipeline.unet.config.in_channels == 24
    Descriptor(16, 512, str(out / "descriptor.safetensors"))
    assert not any(str(tmp_path) in path.read_text() for path in out.rglob("*.json"))
    card = (out / "minnow" / "README.md").read_text()
    assert "{" not in card and "The real SSCD, at 64 pixels" in card

    kept = [path for path in tmp_path.rglob("*.safetensors") if out not in path.parents]
    before = {path: path.stat().st_mtime_ns for path in kept}
    train.main(words(tmp_path))
    assert before == {path: path.stat().st_mtime_ns for path in kept}


def test_a_training_out_of_time_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The same weights as without a stop."""
    train.main(words(tmp_path / "a", "encoder"))
    train.main(words(tmp_path / "b", "encoder", "--seconds=0"))
    assert "encoder: stopped after 1 of 2 steps" in capsys.readouterr().out
    assert not (tmp_path / "b" / "vae-encoder").exists()
    train.main(words(tmp_path / "b", "encoder"))
    one, other = (
        load_file(tmp_path / x / "vae-encoder" / "diffusion_pytorch_model.safetensors") for x in "ab"
    )
    # the optimizer's kernels may round otherwise after a restart
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_the_code_is_found_once_and_another_machine_keeps_it(tmp_path: Path) -> None:
    train.main(words(tmp_path, "code"))
    kept = load_file(tmp_path / "code.safetensors")
    turned = {"matrix": kept["matrix"].flip(1).contiguous(), "mean": kept["mean"]}
    save_file(turned, tmp_path / "code.safetensors")
    matrix, mean = Material(train.settings(SMALL), tmp_path).code()
    assert torch.equal(matrix, turned["matrix"]) and torch.equal(mean, kept["mean"])
    latents = Material(train.settings(SMALL), tmp_path).latents(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
    assert latents.shape == (2, 24, 8, 8)


def test_what_the_recipe_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"the recipe has no unet\.width"):
        train.main(["--work", str(tmp_path), "--set=unet.width=1"])
    with pytest.raises(SystemExit):
        train.main([*words(tmp_path), "nothing"])


def test_a_lesson_goes_from_the_picture_itself_to_what_a_poor_model_draws(tmp_path: Path) -> None:
    material = Material(train.settings(SMALL), tmp_path)
    lesson = (
        student.lesson("ordinary", 24, material.code(), undo(material.code()))
        .unflatten(0, (24, student.EACH))
        .float()
    )
    assert torch.equal(lesson[:, 0], material.ordinary[:24].float())
    far = [(lesson[:, i] - lesson[:, 0]).abs().mean((1, 2, 3)) for i in range(student.EACH)]
    assert far[1].max() > 20 and far[2].max() > 20
    assert far[1].min() < 15 and far[2].min() < 15  # some are near
    other = (lesson[:, 0] - lesson[:, 0].roll(1, 0)).abs().mean()
    assert far[1].mean() < other and far[2].mean() < other
    again = (
        student.lesson("ordinary", 24, material.code(), undo(material.code()))
        .unflatten(0, (24, student.EACH))
        .float()
    )
    assert torch.equal(lesson, again)


def test_a_student_comes_to_agree_with_its_teacher(tmp_path: Path) -> None:
    material = Material(train.settings(SMALL), tmp_path)
    pixels = student.lesson("ordinary", 16, material.code(), undo(material.code()))
    vectors = student.described(Teacher(), pixels)
    settings = {"width": 16, "batch": 32, "steps": 30, "lr": 6e-3, "similar": 4.0}
    taught = student.train(pixels, vectors, tmp_path / "student", settings, seed=0)

    def similarities(z: torch.Tensor) -> torch.Tensor:
        return (z @ z.T)[*torch.triu_indices(len(z), len(z), 1)]

    torch.manual_seed(0)
    fresh = Descriptor(16, 512)
    found = [
        student.agreement(similarities(student.described(each, pixels)), similarities(vectors))
        for each in (fresh, taught)
    ]
    assert found[1]["correlation"] > found[0]["correlation"] + 0.1
    assert found[1]["agree"] == pytest.approx(1 - found[1]["lenient"] - found[1]["strict"])


def test_the_agreement_of_two_rulers_counts_both_directions() -> None:
    mine, theirs = torch.tensor([0.8, 0.8, 0.2, 0.1, 0.9]), torch.tensor([0.9, 0.6, 0.75, 0.1, 0.8])
    found = student.agreement(mine, theirs)
    assert (found["n"], found["agree"], found["lenient"], found["strict"]) == pytest.approx(
        (5, 0.6, 0.2, 0.2)
    )
    assert student.agreement(theirs, mine)["lenient"] == pytest.approx(0.2)


def test_the_refinement_needs_a_student_and_goes_on_from_the_decoder(tmp_path: Path) -> None:
    save_file(Descriptor(16, 512).state_dict(), tmp_path / "descriptor.safetensors")
    train.main(words(tmp_path, "decoder", "refinement"))
    first, refined = (
        load_file(tmp_path / f"vae-{half}" / "diffusion_pytorch_model.safetensors")
        for half in ("decoder", "refined")
    )
    far = max((first[name] - refined[name]).abs().max().item() for name in first)
    assert 0 < far < 0.01
