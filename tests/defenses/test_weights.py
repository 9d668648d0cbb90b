"""Somebody's own weights as the mitigation, in every form that they come in."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from dori.core.config import build
from dori.core.errors import InputError
from dori.data import Data
from dori.data.targets import Ordinary
from dori.defenses import Weights
from dori.diffusion import StableDiffusion
from dori.steps.run import Run
from tests import tiny
from tests.diffusion.test_lora import written

NAME = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v.weight"
NOTHING = Data([], Ordinary([]))


@pytest.fixture(scope="module")
def unet(v_folder: Path) -> UNet2DConditionModel:
    """The model's own, with one layer of the cross-attention changed."""
    network = UNet2DConditionModel.from_pretrained(v_folder / "unet")
    own = network.state_dict()
    assert NAME in own, [name for name in own if "attn2.to_v" in name]
    with torch.no_grad():
        own[NAME].copy_(-3 * own[NAME])
    return network


@pytest.fixture(scope="module")
def forms(
    unet: UNet2DConditionModel, v_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same weights as a folder, as a pipeline, as ESD's partial file, and as a PyTorch file of all."""
    root, state = tmp_path_factory.mktemp("forms"), unet.state_dict()
    unet.save_pretrained(root / "denoiser")
    pipeline = StableDiffusionPipeline.from_pretrained(v_folder)
    pipeline.unet = unet
    pipeline.save_pretrained(root / "pipeline")
    save_file({f"unet.{NAME}": state[NAME].contiguous()}, root / "partial.safetensors")
    torch.save(state, root / "whole.pt")
    return {path.stem: path for path in root.iterdir()}


@pytest.mark.parametrize("form", ["denoiser", "pipeline", "partial", "whole"])
def test_the_mitigated_model_draws_what_diffusers_draws_with_these_weights(
    form: str, forms: dict[str, Path], unet: UNet2DConditionModel, v_folder: Path, table: Path,
    ordinary: Path, measures: Path, tmp_path: Path,
) -> None:  # fmt: skip
    words = (
        "pruning=none",
        "defense=weights",
        f"defense.path={forms[form]}",
        "attack=none",
        f"cache={tmp_path}",
    )
    run = Run.configured(tiny.composed(*tiny.study_overrides(v_folder, table, ordinary, measures, *words)))
    outcome = build(run.cfg.study)(run)
    assert [row["setting"] for row in outcome.rows].count("weights") == 5
    assert all(row["params"]["defense"] == "weights" for row in outcome.rows if row["setting"] == "weights")
    with outcome.mitigated.applied() as model:
        found = model.denoiser.state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in unet.state_dict().items())
    drawn = outcome.images.groupby("setting")["file"].first()
    assert Path(drawn["weights"]).read_bytes() != Path(drawn["original"]).read_bytes()


def test_what_is_laid_over_a_model_with_a_lora_leaves_the_lora_in_it(
    v_folder: Path, forms: dict[str, Path], tmp_path: Path
) -> None:
    lora = str(written(v_folder, "diffusers", tmp_path / "lora"))
    plain, merged = (StableDiffusion(str(v_folder), name="m", lora=each) for each in (None, lora))
    Weights(str(forms["partial"])).write(merged, tmp_path / "out")
    found = merged.with_denoiser(tmp_path / "out").denoiser.state_dict()
    given = load_file(forms["partial"])[f"unet.{NAME}"]
    assert torch.equal(found[NAME], given)
    own, base = merged.denoiser.state_dict(), plain.denoiser.state_dict()
    by_lora = [name for name in own if name != NAME and not torch.equal(own[name], base[name])]
    assert by_lora and all(torch.equal(found[name], own[name]) for name in by_lora)


def test_weights_of_another_model_or_of_none_are_refused(
    make_diffusion, v_folder: Path, tmp_path: Path
) -> None:
    model = make_diffusion("v_prediction")
    own = UNet2DConditionModel.from_pretrained(v_folder / "unet").state_dict()

    def refused(text: str, **tensors: torch.Tensor) -> None:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        save_file({key.replace("__", "."): value for key, value in tensors.items()}, path)
        with pytest.raises(InputError, match=text):
            Weights(str(path)).check(model, NOTHING)

    refused("has weights that .* denoiser has not, e.g. other.weight", other__weight=torch.ones(1))
    refused(r"is \(2, 2\), where .* has", **{NAME: torch.ones(2, 2)})
    same = tmp_path / "same.safetensors"
    save_file({NAME: own[NAME]}, same)
    with pytest.raises(InputError, match="own weights: nothing changed"):
        Weights(str(same)).write(model, tmp_path / "out")
    with pytest.raises(InputError, match="own weights: nothing changed"):
        Weights(str(v_folder)).check(model, NOTHING)
    with pytest.raises(InputError, match="does not exist"):
        Weights(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has neither config\.json nor unet/"):
        Weights(str(tmp_path / "empty"))


def test_weights_of_another_architecture_are_refused(make_diffusion, tmp_path: Path) -> None:
    tiny.build_unet(3, widths=(32, 32, 32)).save_pretrained(tmp_path / "unet")
    with pytest.raises(InputError, match=r"is not of .* architecture"):
        Weights(str(tmp_path)).check(make_diffusion("v_prediction"), NOTHING)


def test_a_file_that_holds_more_than_tensors_is_refused(make_diffusion, tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights": {NAME: torch.ones(2)}}, tmp_path / "more.pt")
    with pytest.raises(InputError, match="more than a state dict"):
        Weights(str(tmp_path / "more.pt")).check(make_diffusion("v_prediction"), NOTHING)


def test_weights_that_are_not_finite_are_refused_before_anything_is_drawn_with_them(
    v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path: Path
) -> None:
    own = UNet2DConditionModel.from_pretrained(v_folder / "unet").state_dict()
    save_file({NAME: torch.full_like(own[NAME], torch.nan)}, tmp_path / "nan.safetensors")
    words = (
        "pruning=none",
        "defense=weights",
        f"defense.path={tmp_path / 'nan.safetensors'}",
        f"cache={tmp_path}",
    )
    run = Run.configured(tiny.composed(*tiny.study_overrides(v_folder, table, ordinary, measures, *words)))
    with pytest.raises(InputError, match="not finite"):
        build(run.cfg.study)(run)
    assert not [r.name for r in run.stages.results if r.name.startswith("images: weights")]
