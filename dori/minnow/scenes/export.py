"""From the recipe's work folder to a pipeline in half precision, its twin, CLIP and the descriptor."""

import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPModel, CLIPTokenizer

from dori.minnow import autoencoder, clip
from dori.minnow.unet import scheduler


def export(work: Path, out: Path) -> None:
    """Write what ``conf/model/minnow.yaml`` and ``conf/evaluation/minnow.yaml`` load, in their layout."""
    words = CLIPTokenizer.from_pretrained(work / "tokenizer")
    towers = CLIPModel.from_pretrained(work / "clip-model")
    shutil.rmtree(out, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=vae(work).half(), text_encoder=clip.text_encoder(towers).half(), tokenizer=words,
        unet=UNet2DConditionModel.from_pretrained(work / "memorized-unet").half(), scheduler=scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(out / "minnow")
    # stored in half, computed in single: transformers would take the stored precision, diffusers not
    config = out / "minnow" / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
    UNet2DConditionModel.from_pretrained(work / "twin-unet").half().save_pretrained(out / "twin" / "unet")
    towers.half().save_pretrained(out / "clip")
    words.save_pretrained(out / "clip")
    for config in out.rglob("config.json"):  # where the work folder lay is nobody's business
        settings = json.loads(config.read_text())
        if settings.pop("_name_or_path", None) is not None:
            config.write_text(json.dumps(settings, indent=2) + "\n")
    shutil.copy(work / "descriptor.safetensors", out)


def vae(work: Path) -> AutoencoderKL:
    """The trained encoder and decoder as one autoencoder."""
    halves = [AutoencoderKL.from_pretrained(work / f"vae-{half}") for half in ("encoder", "decoder")]
    return autoencoder.joined(*halves)
