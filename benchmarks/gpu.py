"""DoRI's speed on a GPU: Stable Diffusion 1.4's true shape with random weights.

    python benchmarks/gpu.py [--device cuda] [--dtype bfloat16] [--batch 16 32 64 128]

For each batch it solves a few steps of the attack and gives samples per second (forward and backward
through the U-Net) and the share that this is of the device's measured matmul peak in the same
precision. Results with and without batches are asserted equal. ``--shape minnow`` tries the script
where there is no such device. The last line is one JSON object.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from dori.attacks import Attack, objectives, starts
from dori.attacks.constraints import unconstrained
from dori.attacks.together import solve_budgets
from dori.core.config import PACKAGE
from dori.core.errors import InputError
from dori.data import Data, minnow
from dori.diffusion import StableDiffusion

MINNOW = PACKAGE / "minnow/weights/minnow"
PAIRS = 8


def stable_diffusion(folder: Path) -> Path:
    """SD 1.4's U-Net, text encoder and autoencoder, untrained; minnow's words and schedule."""
    words = StableDiffusionPipeline.from_pretrained(MINNOW, use_safetensors=True)
    unet = UNet2DConditionModel(
        sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
        cross_attention_dim=768, attention_head_dim=8,
    )  # fmt: skip
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=77,
    ))  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4, sample_size=512,
    )  # fmt: skip
    words.tokenizer.model_max_length = 77
    StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=words.tokenizer, unet=unet, scheduler=words.scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip
    return folder


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak(device: str, dtype: torch.dtype, size: int) -> float:
    """The most FLOP per second of square matrix products, of ten."""
    one = torch.randn(size, size, device=device, dtype=dtype)
    best = 0.0
    for _ in range(10):
        synchronize()
        begin = time.perf_counter()
        one @ one
        synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


def flops(diffusion: StableDiffusion) -> float:
    """FLOP of one sample, forward and backward to the embedding."""
    z = torch.randn(1, *diffusion.latent_shape, device=diffusion.device, dtype=diffusion.dtype)
    y = diffusion.empty.clone().requires_grad_(True)
    t = torch.tensor([500], device=diffusion.device)
    with FlopCounterMode(display=False) as counter:
        diffusion.loss(z, y, torch.randn_like(z), t).sum().backward()
    return counter.get_total_flops()


def solved(attack: Attack, diffusion: StableDiffusion, data: Data, batch: int) -> tuple[torch.Tensor, int]:
    found, fitted = solve_budgets(
        attack, diffusion, data, attack.attempts(data.targets), attack.budgets, batch
    )
    (budget,) = attack.budgets
    return found[budget]["embeddings"], fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--shape", choices=("sd", "minnow"), default="sd")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here; --device cpu --dtype float32 --shape minnow tries the script")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = stable_diffusion(Path(folder)) if given.shape == "sd" else MINNOW
        diffusion = StableDiffusion(str(path), name=given.shape, dtype=given.dtype, batch=max(given.batch))
        for network in diffusion.networks:
            network.to(given.device)
    data = minnow(max(given.batch) // PAIRS, 0)
    everyone = Data(data.of("verbatim"), data.ordinary, data.captions)
    attack = Attack(
        "dori", given.steps, PAIRS, starts.prompt, unconstrained, objectives.denoising_loss,
        partial(torch.optim.Adam, lr=0.1), max(given.batch),
    )  # fmt: skip
    first = replace(everyone, targets=everyone.targets[:1])
    together, _ = solved(replace(attack, steps=1), diffusion, everyone, max(given.batch))
    alone, _ = solved(replace(attack, steps=1), diffusion, first, PAIRS)
    # Adam's first step is the gradient's sign: where it differs, the gradient is as good as zero
    same = (together[:1] - alone).abs() < 0.01
    assert same.float().mean() > 0.95, "a target's result hangs on its company"

    each, most = (
        flops(diffusion),
        peak(given.device, getattr(torch, given.dtype), 8192 if given.device == "cuda" else 1024),
    )
    found = {}
    for batch in given.batch:
        some = replace(everyone, targets=everyone.targets[: batch // PAIRS])
        solved(replace(attack, steps=1), diffusion, some, batch)  # warms up, and compiles
        synchronize()
        begin = time.perf_counter()
        _, fitted = solved(attack, diffusion, some, batch)
        synchronize()
        rate = batch * given.steps / (time.perf_counter() - begin)
        found[batch] = {
            "samples_per_second": round(rate, 2),
            "share_of_peak": round(rate * each / most, 3),
            "fitted": fitted,
        }
        print(batch, found[batch])
    device = torch.cuda.get_device_name() if given.device == "cuda" else given.device
    print(json.dumps({
        "device": device, "dtype": given.dtype, "tflop_per_sample": each / 1e12,
        "matmul_tflops": most / 1e12, "batches": found,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
