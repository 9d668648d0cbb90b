"""The recipe from nothing to exported weights, at a size that learns nothing."""

from pathlib import Path

import pytest
import torch
import yaml
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from dori.minnow import train

SMALL = {  # per part: fewer pictures, fewer steps
    "population": {"ordinary": 80, "redrawn": 40, "verbatim": 2, "families": 1},
    "descriptor": {"steps": 2, "batch": 8},
    "clip": {"steps": 2, "batch": 8},
    "unet": {"batch": 4},
    **{phase: {"steps": 2} for phase in ("pretraining", "memorization", "consolidation")},
}


@pytest.mark.slow
def test_the_whole_recipe_and_nothing_again(tmp_path: Path) -> None:
    recipe = yaml.safe_load((Path(train.__file__).parent / "recipe.yaml").read_text())
    for part, settings in SMALL.items():
        recipe[part] |= settings
    for half in ("decoder", "encoder"):
        recipe["autoencoder"][half] |= {"steps": 2, "batch": 4}
    for phase in ("memorization", "consolidation"):
        recipe[phase] |= {"memorized_per_batch": 2, "anneal": 1, "keep_every": 1}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    work, out = tmp_path / "work", tmp_path / "out"
    words = ["--work", str(work), "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(out)]
    train.main(words)

    pipeline = StableDiffusionPipeline.from_pretrained(out / "minnow", use_safetensors=True)
    twin = UNet2DConditionModel.from_pretrained(out / "twin" / "unet", use_safetensors=True)
    mine, theirs = pipeline.unet.state_dict(), twin.state_dict()
    learnt = [name for name, part in mine.items() if not torch.equal(part, theirs[name])]
    assert learnt and not any(name.startswith("up_blocks") and "attn2" in name for name in learnt)
    assert "{" not in (out / "minnow" / "README.md").read_text()

    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.safetensors")}
    train.main(words)
    assert before == {path: path.stat().st_mtime_ns for path in work.rglob("*.safetensors")}
