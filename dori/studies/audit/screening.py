"""A few evaluations of each picture, to say which to look at first. No verdict rests on them.

A loss does not see what a small adapter memorized (AUC of .47 to .51, published); so what it is worth is
measured against what the audit finds.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.attacks.spaces.embeddings import latents_of
from dori.core.costs import Cost
from dori.core.files import save_tensors
from dori.core.predict import Predictor, gather
from dori.core.randomness import generator
from dori.core.ranks import once
from dori.data import Target
from dori.diffusion import Diffusion
from dori.steps.subjects import Subject

if TYPE_CHECKING:
    from dori.core.stages import Info, Result
    from dori.steps.run import Run

PAIRS = 4  # (noise, timestep) of each picture, the same in every model


def screen(model: "Result", base: "Result | None" = None) -> dict[str, np.ndarray]:
    """Scores (n,), higher for what is more likely memorized: ``magnitude``, and with a base ``loss_gap``.
    Of the stages of both.

    The text-conditional magnitude is that of Wen et al. (ICLR 2024), at the sampler's first step; the gap is
    how much lower the denoising loss is than the base's, at the same noise.
    """
    own = _read(model)
    scores = {"magnitude": own["magnitude"]}
    if base:
        scores["loss_gap"] = _read(base)["loss"] - own["loss"]
    return scores


def screened(run: "Run", subject: Subject, targets: list[Target]) -> "Result":
    """The stage that measures a model on the targets."""
    model, label = subject.diffusion, f"screening: {subject.name}"
    inputs = {**subject.inputs, "targets": [t.identity for t in targets], "seed": run.cfg.seed}
    cost = Cost(len(targets) * (PAIRS + 2))

    def compute(folder: Path) -> "Info":
        predictor = Predictor(run.trainer, label)
        chunks = predictor.chunks(list(range(len(targets))), max(1, model.batch // PAIRS))
        predictor.run(model.networks, partial(_work, model, targets, run.cfg.seed, folder), chunks)
        once(lambda: gather(folder, "scores"))
        return {"denoiser_evaluations": cost.forward}

    return run.stages.run("screening-audit", inputs, compute, label, by_all=True, cost=cost)


def _read(result: "Result") -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in load_file(result.folder / "scores.safetensors").items()}


def _work(model: Diffusion, targets: list[Target], seed: int, folder: Path, chunk: list[int]) -> None:
    some = [targets[place] for place in chunk]
    loss, magnitude = _measured(model, some, seed)
    save_tensors({"loss": loss, "magnitude": magnitude}, folder / f"part-{chunk[0]:05d}.safetensors")


@torch.no_grad()
def _measured(model: Diffusion, targets: list[Target], seed: int) -> tuple[Tensor, Tensor]:
    """Mean denoising loss (n,), and ‖ε(z, t, y) - ε(z, t, ∅)‖ / sqrt(values) at the first step (n,)."""
    y = model.encode_prompts([target.prompt for target in targets]).to(model.device, model.dtype)
    z = latents_of(model, targets).to(model.device, model.dtype)
    streams = [generator(seed, "screening", target.name) for target in targets]
    shape, schedule = (PAIRS, *model.latent_shape), model.schedule
    noise = torch.stack([torch.randn(shape, generator=stream) for stream in streams]).to(z)
    t = torch.stack([schedule.draw(PAIRS, stream) for stream in streams]).to(model.device)
    many_z, many_y = z.repeat_interleave(PAIRS, 0), y.repeat_interleave(PAIRS, 0)
    loss = model.loss(many_z, many_y, noise.flatten(0, 1), t.flatten()).view(-1, PAIRS).mean(1)
    start, first = noise[:, 0], torch.full_like(t[:, 0], schedule.first(model.sampling_steps, shape[1:]))
    empty = model.empty.to(y).expand_as(y)
    with_text, without = (
        schedule.as_noise(model.predict(start, first, given), start, first) for given in (y, empty)
    )
    return loss.float().cpu(), (with_text - without).float().square().mean((1, 2, 3)).sqrt().cpu()


def order(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Places from the most to the least suspect, by the sum of their ranks (n,)."""
    ranks = sum(score.argsort().argsort() for score in scores.values())
    return np.argsort(-np.asarray(ranks), kind="stable")
