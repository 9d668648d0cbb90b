"""DoRI as published, one image at a time with gradients for everything, against dori's solver.

    python benchmarks/attack.py [--targets 16] [--steps 50]

Both start from the same embeddings and see the same noise. Equality is asserted in float64, where
Adam's first step (the sign of the gradient) does not hang on rounding; then both are timed in
float32, in turns. The last line is one JSON object.
"""

import argparse
import json
import time
from functools import partial

import torch
from torch import Tensor

from dori.attacks import objectives, starts
from dori.attacks.attack import Attack
from dori.attacks.constraints import unconstrained
from dori.attacks.solver import solve
from dori.config import PACKAGE
from dori.data import Target, minnow
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion

ADAM = partial(torch.optim.Adam, lr=0.1)


def plain(diffusion: StableDiffusion, latents: Tensor, start: Tensor, noise: list, steps: int) -> Tensor:
    """The published loop: every weight requires a gradient, targets one after the other."""
    unet, scheduler = diffusion.unet.requires_grad_(True), diffusion.scheduler
    found = []
    for i in range(len(start)):
        y = start[i : i + 1].clone().requires_grad_(True)
        optimizer = ADAM([y])
        for step in range(steps):
            eps, t = noise[step][0][i], noise[step][1][i]
            z = latents[i : i + 1].expand_as(eps)
            out = unet(scheduler.add_noise(z, eps, t), t, y.expand(len(t), -1, -1)).sample
            optimizer.zero_grad()
            unet.zero_grad()
            torch.nn.functional.mse_loss(out, eps).backward()
            optimizer.step()
        found.append(y.detach())
    unet.requires_grad_(False).zero_grad()
    return torch.cat(found)


def batched(diffusion: StableDiffusion, latents: Tensor, start: Tensor, noise: list, steps: int) -> Tensor:
    """dori's solver, in batches as the attack makes them."""
    size = max(1, 64 // noise[0][1].shape[1])
    parts = []
    for first in range(0, len(start), size):
        some = slice(first, first + size)
        parts.append(
            solve(
                diffusion,
                latents[some],
                start[some],
                lambda step, some=some: (noise[step][0][some], noise[step][1][some]),
                steps=steps,
                objective=objectives.denoising_loss,
                constraint=unconstrained,
                optimizer=ADAM,
                batch=64,
            ).embeddings
        )
    return torch.cat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    diffusion = StableDiffusion(str(PACKAGE / "minnow/weights/minnow"), name="minnow", batch=128)
    targets: list[Target] = minnow(arguments.targets, 0).of("verbatim")
    attack = Attack(
        "dori", arguments.steps, 8, starts.prompt, unconstrained, objectives.denoising_loss, ADAM, 64
    )
    draw = attack.noise(diffusion, targets)
    noise = [draw(step) for step in range(arguments.steps)]
    latents = diffusion.encode_images(tensor([t.pixels() for t in targets], diffusion.resolution))
    start = starts.prompt(diffusion, targets)

    for network in diffusion.networks:
        network.double()
    few = [(eps.double(), t) for eps, t in noise[:5]]
    one = plain(diffusion, latents.double(), start.double(), few, 5)
    other = batched(diffusion, latents.double(), start.double(), few, 5)
    # the loss is summed in single precision, whatever the networks' own
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    for network in diffusion.networks:
        network.float()

    seconds: dict[str, list[float]] = {"plain": [], "batched": []}
    for name, run in (("batched", batched), ("plain", plain)) * 2:
        begin = time.perf_counter()
        run(diffusion, latents, start, noise, arguments.steps)
        seconds[name].append(time.perf_counter() - begin)
        print(f"{name}: {seconds[name][-1]:.1f} s for {len(targets)} targets, {arguments.steps} steps")
    speedup = min(seconds["plain"]) / min(seconds["batched"])
    sizes = {"targets": len(targets), "steps": arguments.steps}
    print(json.dumps({"speedup": round(speedup, 2), **sizes, **seconds}))


if __name__ == "__main__":
    main()
