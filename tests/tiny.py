"""Models, pictures and tables that differ from minnow wherever they can: what the fixtures build."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from dori.core.config import CONF
from dori.minnow import clip, tokenizer
from dori.minnow.descriptor import Descriptor

COLORS, THINGS, PLACES = "red green blue pink".split(), "boat tree lamp cup".split(), "lake hill room".split()
TOKENS, WIDTH, LATENTS, SIDE = 16, 24, 5, 32  # SIDE: pixels; minnow has 32, 64, 12 and 64
DESCRIPTOR = {"width": 16, "dim": 8}


def prompts(count: int, first: int = 0) -> list[str]:
    """So many different prompts of known words."""
    numbers = range(first, first + count)
    return [f"a {COLORS[i % 4]} {THINGS[i // 4 % 4]} on a {PLACES[i // 16 % 3]}" for i in numbers]


def words() -> CLIPTokenizer:
    return tokenizer.build(["a", "on", *COLORS, *THINGS, *PLACES], TOKENS)


def build_unet(seed: int, widths: tuple[int, ...] = (16, 32, 32)) -> UNet2DConditionModel:
    """Three levels, two of them with cross-attention, linear projections, one layer per block."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8, in_channels=LATENTS, out_channels=LATENTS, block_out_channels=widths,
        layers_per_block=1, cross_attention_dim=WIDTH, attention_head_dim=2, norm_num_groups=8,
        use_linear_projection=True,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip


def build_pipeline(folder: Path, prediction: str, seed: int = 0) -> Path:
    """Save a randomly initialised pipeline in diffusers' format: two downsamplings in its VAE."""
    unet, tokens = build_unet(seed), words()
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=LATENTS, norm_num_groups=4,
        sample_size=SIDE, scaling_factor=0.5,
    )  # fmt: skip
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(4)  # else everything that it draws is grey
    config = CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=TOKENS, bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
    )  # fmt: skip
    schedule = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type=prediction,
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(config), tokenizer=tokens, unet=unet, scheduler=schedule,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_measures(folder: Path) -> Path:
    """A CLIP folder and a descriptor with random weights."""
    torch.manual_seed(1)
    tokens = words()
    shape = {"text_width": 16, "text_layers": 1, "projection": 4, "vision_width": 16, "vision_layers": 1}
    clip.build(tokens, shape).save_pretrained(folder / "clip")
    tokens.save_pretrained(folder / "clip")
    save_file(Descriptor(**DESCRIPTOR).state_dict(), folder / "descriptor.safetensors")
    return folder


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """uint8 (height, width, 3): a smooth gradient with a bright square, each seed its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    image = (x[..., None] * rng.uniform(0, 255, 3) + y[..., None] * rng.uniform(0, 255, 3)) / 2
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    image[top : top + height // 4, left : left + width // 4] = rng.uniform(0, 255, 3)
    return image.astype(np.uint8)


KINDS = ("verbatim", "template", "seen", "unseen")


def build_table(folder: Path, kinds: tuple[str, ...] = KINDS * 2) -> Path:
    """``targets.csv``: two pictures of each kind, or of ``kinds``; templates with a mask; sizes differ."""
    rows = []
    for i, kind in enumerate(kinds):
        height, width = (SIDE, SIDE) if i % 2 else (40, 56)
        Image.fromarray(picture(i, height, width)).save(folder / f"{i}.png")
        mask = np.zeros((height, width), np.uint8)
        mask[8:24, 8:24] = 255
        if kind == "template":
            Image.fromarray(mask).save(folder / f"{i}-mask.png")
        changing = f"{i}-mask.png" if kind == "template" else None
        rows.append({"prompt": prompts(1, i)[0], "image": f"{i}.png", "kind": kind, "changing": changing})
    pd.DataFrame(rows).to_csv(folder / "targets.csv", index=False)
    return folder / "targets.csv"


def build_ordinary(folder: Path, count: int = 8, first: int = 100) -> Path:
    """``ordinary.csv``: captions with pictures, more of them than the tiny CLIP has features.

    ``first``: the number of the first picture; those of other numbers are others.
    """
    for i in range(count):
        Image.fromarray(picture(first + i)).save(folder / f"ordinary-{i}.png")
    names = [f"ordinary-{i}.png" for i in range(count)]
    table = pd.DataFrame({"caption": prompts(count, 20), "image": names})
    table.to_csv(folder / "ordinary.csv", index=False)
    return folder / "ordinary.csv"


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def composed(*overrides: str) -> DictConfig:
    """The configuration of ``dori <overrides>``; composing takes its time, so each is made once."""
    return copy.deepcopy(_composed(overrides))


def study_overrides(model: Path, table: Path, ordinary: Path, measures: Path, *more: str) -> list[str]:
    """The main job on a tiny pipeline and own pictures, as small as it can be; then ``more``."""
    steps = {
        "pruning=none": ["pruning.ratio=0.1", "pruning.steps=4", "pruning.used=2"],
        "attack=none": ["attack.steps=2", "attack.pairs=2", "attack.batch=4"],
    }
    return [
        "model=pretrained", f"model.path={model}", "model.dtype=float32", "model.sampling_steps=2",
        "model.guidance=2.0", "model.images_per_prompt=2", "model.batch=8",
        f"data.path={table}", "data.targets=1", f"data.ordinary={ordinary}",
        "evaluation=minnow", f"evaluation.resolution={SIDE}", f"evaluation.alignment.path={measures}/clip",
        f"evaluation.descriptor.path={measures}/descriptor.safetensors",
        *(f"+evaluation.descriptor.{key}={value}" for key, value in DESCRIPTOR.items()),
        *(word for without, words in steps.items() if without not in more for word in words),
        "trainer.accelerator=cpu", *more,
    ]  # fmt: skip
