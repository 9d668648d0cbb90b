"""DoRI's speed and memory on a GPU: a published model's true shape with random weights.

    python benchmarks/gpu.py [--shape sd14] [--device cuda] [--dtype bfloat16] [--batch 16 32 64 128]

For each batch it solves a few steps of the attack and gives samples per second (forward and backward
through the denoiser), the share that this is of the device's measured matmul peak in the same precision, and
the peak memory beside the one that ``dori plan`` foretells. Results with and without batches are asserted
equal. Shapes are those of ``dori.reference.shapes``; ``--shape minnow`` tries the script where there is no
such device. The last line is one JSON object.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from dori.attacks import Attack, objectives, starts
from dori.attacks.constraints import unconstrained
from dori.attacks.together import solve_budgets
from dori.core.config import PACKAGE
from dori.core.errors import InputError
from dori.data import Data, minnow
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from dori.diffusion.memory import needs
from dori.reference.shapes import SHAPES, written

MINNOW = PACKAGE / "minnow/weights/minnow"
PAIRS = 8


def randomised(model: Family) -> Family:
    """Weights drawn on the device: those of a true shape are holes on disk."""
    for network in model.networks:
        for weight in network.parameters():
            weight.data.normal_(0, 0.02)
    return model


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


def flops(diffusion: Family) -> float:
    """FLOP of one sample, forward and backward to the embedding."""
    z = torch.randn(1, *diffusion.latent_shape, device=diffusion.device, dtype=diffusion.dtype)
    y = diffusion.empty.clone().requires_grad_(True)
    t = torch.tensor([500], device=diffusion.device)
    with FlopCounterMode(display=False) as counter:
        diffusion.loss(z, y, torch.randn_like(z), t).sum().backward()
    return counter.get_total_flops()


def solved(attack: Attack, diffusion: Family, data: Data, batch: int) -> tuple[torch.Tensor, int]:
    found, fitted = solve_budgets(
        attack, diffusion, data, attack.attempts(data.targets), attack.budgets, batch
    )
    (budget,) = attack.budgets
    return found[budget]["embeddings"], fitted


def measured(given: argparse.Namespace, diffusion: Family) -> dict[str, object]:
    """What comes out, for each batch."""
    foretold = needs(diffusion)
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
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        _, fitted = solved(attack, diffusion, some, batch)
        synchronize()
        rate = batch * given.steps / (time.perf_counter() - begin)
        found[batch] = {
            "samples_per_second": round(rate, 2),
            "share_of_peak": round(rate * each / most, 3),
            "fitted": fitted,
            "foretold_gb": round(foretold.attack(fitted) / 1e9, 2),
        }
        if torch.cuda.is_available():
            found[batch]["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        print(batch, found[batch])
    device = torch.cuda.get_device_name() if given.device == "cuda" else given.device
    return {
        "device": device, "shape": given.shape, "dtype": given.dtype, "tflop_per_sample": each / 1e12,
        "matmul_tflops": most / 1e12, "batches": found,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--shape", choices=(*SHAPES, "minnow"), default="sd14")
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here; --device cpu --dtype float32 --shape minnow tries the script")
    torch.manual_seed(0)
    told = {"name": given.shape, "dtype": given.dtype, "batch": max(given.batch), "offload": given.offload,
            "gradient_checkpointing": given.gradient_checkpointing}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = MINNOW if given.shape == "minnow" else written(SHAPES[given.shape], Path(folder))
        diffusion = pretrained(str(path), **told)
        for network in diffusion.networks:
            network.to(given.device)
        if given.shape != "minnow":
            randomised(diffusion)
        print(json.dumps(measured(given, diffusion)))


if __name__ == "__main__":
    main()
