"""DoRI on a small Stable Diffusion 3, one image and one noise at a time, against dori's solver.

    python benchmarks/families.py [--targets 16] [--steps 10]

The plain loop stands here in full: it is written against diffusers' transformer alone, with gradients for
every weight. Both are given the same starts, noise and levels. Equality is asserted in float64, where Adam's
first step (the sign of the gradient) does not hang on rounding; then both are timed in float32, in turns.
The last line is one JSON object.
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection

from dori.attacks import objectives
from dori.attacks.constraints import unconstrained
from dori.attacks.parts import AUTOMATIC
from dori.attacks.solver import solve
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from dori.reference.shapes import Shape, clip, written

ADAM = partial(torch.optim.Adam, lr=0.1)
WIDTH, CHANNELS, SIDE, PAIRS = 32, 4, 8, 8
SMALL = Shape(
    "StableDiffusion3Pipeline",
    {
        "transformer": partial(
            SD3Transformer2DModel, sample_size=SIDE, patch_size=2, in_channels=CHANNELS,
            out_channels=CHANNELS, num_layers=4, attention_head_dim=16, num_attention_heads=4,
            joint_attention_dim=2 * WIDTH, caption_projection_dim=64, pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=SIDE, qk_norm="rms_norm",
        ),
        "vae": partial(
            AutoencoderKL, block_out_channels=(8, 8, 8, 8), latent_channels=CHANNELS, norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        "text_encoder": clip(CLIPTextModelWithProjection, WIDTH, 2, 2, WIDTH),
        "text_encoder_2": clip(CLIPTextModelWithProjection, WIDTH, 2, 2, WIDTH),
    },
    partial(FlowMatchEulerDiscreteScheduler, shift=3.0),
)  # fmt: skip


def small(folder: str, dtype: str) -> Family:
    """With random weights, the same at every call, and 16 rows that T5 would fill."""
    model = pretrained(folder, name="small", dtype=dtype, text_tokens=16)
    stream = torch.Generator().manual_seed(0)
    for weight in model.denoiser.parameters():
        weight.data.copy_(torch.randn(weight.shape, generator=stream) * 0.2)
    return model


def plain(model: Family, z: Tensor, start: Tensor, noise: Tensor, t: Tensor, levels: Tensor) -> Tensor:
    """One image after the other, one noise after the other; noise (steps, n, pairs, ...), t, levels."""
    transformer, found = model.denoiser.requires_grad_(True), []
    rows, width = len(start[0]) - 1, 2 * WIDTH
    for i in range(len(start)):
        y = start[i : i + 1].clone().requires_grad_(True)
        optimizer = ADAM([y])
        for step in range(len(noise)):
            optimizer.zero_grad()
            transformer.zero_grad()
            for eps, time_asked, level in zip(noise[step, i], t[step, i], levels[step, i], strict=True):
                out = transformer(
                    hidden_states=((1 - level) * z[i] + level * eps)[None], timestep=time_asked[None],
                    encoder_hidden_states=y[:, :rows], pooled_projections=y[:, rows, :width],
                ).sample  # fmt: skip
                (torch.nn.functional.mse_loss(out[0], eps - z[i]) / PAIRS).backward()
            optimizer.step()
        found.append(y.detach())
    transformer.requires_grad_(False).zero_grad()
    return torch.cat(found)


def batched(model: Family, z: Tensor, start: Tensor, noise: Tensor, places: Tensor) -> Tensor:
    """dori's solver."""
    return solve(
        model, z, start, lambda step: (noise[step], places[step]), steps=len(noise),
        objective=objectives.denoising_loss, constraint=unconstrained, optimizer=ADAM, batch=AUTOMATIC["cpu"],
    ).embeddings  # fmt: skip


def compare(folder: str, n: int, steps: int) -> dict[str, object]:
    """Both ways on ``n`` targets: that they end at the same, and how long they take."""
    exact, fast, stream = small(folder, "float64"), small(folder, "float32"), torch.Generator().manual_seed(1)
    scheduler, draws = FlowMatchEulerDiscreteScheduler(shift=3.0), (steps, n, PAIRS)
    places = torch.randint(1000, draws, generator=stream)  # the cleanest level first, as dori counts them
    levels, asked = scheduler.sigmas.flip(0)[places], scheduler.timesteps.flip(0)[places]
    z = torch.randn(n, CHANNELS, SIDE, SIDE, generator=stream)
    start = torch.randn(n, *exact.rows.shape, generator=stream)
    noise = torch.randn(*draws, CHANNELS, SIDE, SIDE, generator=stream)

    def both(model: Family, dtype: torch.dtype) -> dict[str, partial]:
        told = [value.to(dtype) for value in (z, start, noise)]
        return {
            "plain": partial(plain, model, *told, asked.to(dtype), levels.to(dtype)),
            "dori": partial(batched, model, *told, places),
        }

    found = {name: run() for name, run in both(exact, torch.float64).items()}
    apart = float((found["plain"] - found["dori"]).abs().max())
    moved = float((found["dori"] - start).abs().max())
    assert apart < 1e-5 < moved, f"results differ by {apart}"
    seconds: dict[str, list[float]] = {"plain": [], "dori": []}
    for name, run in list(both(fast, torch.float32).items()) * 2:
        begin = time.perf_counter()
        run()
        seconds[name].append(time.perf_counter() - begin)
        print(f"{name}: {seconds[name][-1]:.2f} s")
    least = {name: min(took) for name, took in seconds.items()}
    return {
        "targets": n, "steps": steps, "seconds": least, "speedup": least["plain"] / least["dori"],
        "largest_difference": apart, "largest_change": moved,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(compare(str(written(SMALL, Path(folder))), given.targets, given.steps)))


if __name__ == "__main__":
    main()
