"""DoRI as published, one image at a time with gradients for everything, against dori's solver.

    python benchmarks/attack.py [--targets 16] [--steps 50]

Both start from the same embeddings and see the same noise. Equality is asserted in float64, where
Adam's first step (the sign of the gradient) does not hang on rounding; then both are timed in
float32, in turns. Then curves: eight sizes of the ball out of one solve against a solve for each, and
a solve that keeps snapshots against one that does not. The last line is one JSON object.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import lightning
import torch
from torch import Tensor

from dori.app.main import quiet
from dori.attacks import objectives, starts
from dori.attacks.attack import Attack
from dori.attacks.constraints import l2_ball, unconstrained
from dori.attacks.parts import AUTOMATIC
from dori.attacks.solver import solve
from dori.attacks.together import solve_budgets
from dori.core.config import PACKAGE
from dori.core.predict import Predictor
from dori.data import Data, Target, minnow
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion

ADAM = partial(torch.optim.Adam, lr=0.1)
BATCH = AUTOMATIC["cpu"]  # of the attack's own choice, on the machine that this is measured on
STAGE = Predictor(
    partial(
        lightning.Trainer, accelerator="cpu", logger=False, inference_mode=False, enable_progress_bar=False,
        enable_checkpointing=False, use_distributed_sampler=False,
    )
)  # fmt: skip
EPSILONS = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 2.0]


def plain(diffusion: StableDiffusion, latents: Tensor, start: Tensor, noise: list, steps: int) -> Tensor:
    """The published loop: every weight requires a gradient, targets one after the other."""
    unet, scheduler = diffusion.denoiser.requires_grad_(True), diffusion.schedule.scheduler
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
    """dori's solver, in chunks as an attack's stage deals them out."""
    parts = {}

    def work(some: list[int]) -> None:
        parts[some[0]] = solve(
            diffusion,
            latents[some],
            start[some],
            lambda step: (noise[step][0][some], noise[step][1][some]),
            steps=steps,
            objective=objectives.denoising_loss,
            constraint=unconstrained,
            optimizer=ADAM,
            batch=BATCH,
        ).embeddings

    size = max(1, BATCH // noise[0][1].shape[1])
    STAGE.run(diffusion.networks, work, STAGE.chunks(list(range(len(start))), size))
    return torch.cat([parts[first] for first in sorted(parts)])


def fastest(runs: dict[str, Callable[[], object]], times: int = 2) -> dict[str, float]:
    """Seconds of the faster of ``times`` runs of each, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in list(runs.items()) * times:
        begin = time.perf_counter()
        run()
        seconds[name].append(time.perf_counter() - begin)
        print(f"{name}: {seconds[name][-1]:.1f} s")
    return {name: min(found) for name, found in seconds.items()}


def curves(diffusion: StableDiffusion, data: Data, targets: list[Target], attack: Attack) -> dict[str, float]:
    """What a curve over epsilon, of one target and of all, and one over steps cost, as ratios."""
    ball = replace(attack, constraint=partial(l2_ball, epsilon=1.0))

    def solves(attacks: list[Attack], some: list[Target]) -> Callable[[], object]:
        def run() -> None:
            for one in attacks:

                def work(places: list[int], one: Attack = one) -> None:
                    attempts = one.attempts([some[i] for i in places])
                    solve_budgets(one, diffusion, data, attempts, one.budgets, BATCH)

                chunks = STAGE.chunks(list(range(len(some))), one.attempts_per_call(diffusion, BATCH))
                STAGE.run(diffusion.networks, work, chunks)

        return run

    each = [replace(ball, constraint=partial(l2_ball, epsilon=epsilon)) for epsilon in EPSILONS]
    together = [replace(ball, epsilons=EPSILONS)]
    snapshots = [step for step in (0, 1, 10, 25, 50) if step < attack.steps] + [attack.steps]
    found = fastest({
        "eight epsilons of one target, together": solves(together, targets[:1]),
        "eight epsilons of one target, each": solves(each, targets[:1]),
        f"eight epsilons of {len(targets)} targets, together": solves(together, targets),
        f"eight epsilons of {len(targets)} targets, each": solves(each, targets),
        "with snapshots": solves([replace(attack, snapshots=snapshots)], targets),
        "without snapshots": solves([attack], targets),
    })  # fmt: skip
    one, eight, many, many_each, kept, plain = found.values()
    return {
        "epsilon_curve_ratio": round(one / eight, 3), "epsilon_curve_ratio_all": round(many / many_each, 3),
        "steps_curve_ratio": round(kept / plain, 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    quiet()
    diffusion = StableDiffusion(str(PACKAGE / "minnow/weights/minnow"), name="minnow", batch=128)
    data = minnow(arguments.targets, 0)
    targets: list[Target] = data.of("verbatim")
    attack = Attack(
        "dori", arguments.steps, 8, starts.prompt, unconstrained, objectives.denoising_loss, ADAM, BATCH
    )
    draw = attack.noise(diffusion, attack.attempts(targets))
    noise = [draw(step) for step in range(arguments.steps)]
    latents = diffusion.encode_images(tensor([t.pixels() for t in targets], diffusion.size))
    start = starts.embed(diffusion, starts.prompt(data, attack.attempts(targets), 0))

    for network in diffusion.networks:
        network.double()
    few = [(eps.double(), t) for eps, t in noise[:5]]
    one = plain(diffusion, latents.double(), start.double(), few, len(few))
    other = batched(diffusion, latents.double(), start.double(), few, len(few))
    # the loss is summed in single precision, whatever the networks' own
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    for network in diffusion.networks:
        network.float()

    arrays = (diffusion, latents, start, noise, arguments.steps)
    seconds = fastest({"batched": lambda: batched(*arrays), "plain": lambda: plain(*arrays)})
    speedup = {"speedup": round(seconds["plain"] / seconds["batched"], 2)}
    sizes = {"targets": len(targets), "steps": arguments.steps}
    print(json.dumps({**speedup, **curves(diffusion, data, targets, attack), **sizes, **seconds}))


if __name__ == "__main__":
    main()
