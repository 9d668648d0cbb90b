"""What a job is going to do: its stages, rehearsed, and how long the device at hand takes for them."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import torch

from dori.core.config import build
from dori.core.costs import Cost
from dori.core.predict import Predictor
from dori.core.ranks import world
from dori.core.rehearsal import NotMade, Planned, Rehearsal
from dori.steps.run import Run

log = logging.getLogger(__name__)
SECONDS = 1.0  # of measuring, forward and backward each


def rehearsed(run: Run) -> list[Planned]:
    """The stages of a job's study, up to the first that depends on what is not computed yet."""
    rehearsal = Rehearsal(run.stages.root, run.stages.shared)
    with suppress(NotMade):
        build(run.cfg.study)(replace(run, stages=rehearsal))
    return list({each.label: each for each in rehearsal.planned}.values())


def weights(run: Run) -> dict[str, float]:
    """What each stage costs, for the display; nothing where that cannot be told."""
    if world() > 1:  # a rehearsal is no work for all ranks
        return {}
    try:
        return {each.label: each.cost.weight for each in rehearsed(run) if not each.cached}
    except Exception as error:  # somebody's own study, say: no job fails by its display
        log.debug("no plan: %s: %s", type(error).__name__, error)
        return {}


def pace(run: Run) -> tuple[float, float]:
    """Seconds for a sample through the denoiser, forward, and forward and backward, on the job's device."""
    model = run.diffusion
    with Predictor(run.trainer).placed(model.networks):
        z = torch.randn(model.batch, *model.latent_shape).to(model.device, model.dtype)
        y = model.encode_prompts([""]).expand(model.batch, -1, -1).contiguous()
        t = torch.full((model.batch,), model.schedule.length // 2, device=model.device)

        def forward() -> None:
            with torch.no_grad():
                model.predict(z, t, y)

        def both() -> None:
            moved = y.detach().clone().requires_grad_(True)
            with torch.enable_grad():
                model.predict(z, t, moved).square().mean().backward()

        return _timed(forward) / model.batch, _timed(both) / model.batch


def _timed(call: Callable[[], None]) -> float:
    """Seconds of the fastest of several calls, after one that warms up: others may use the machine, too."""
    call()
    took = list[float]()
    while len(took) < 2 or sum(took) < SECONDS:
        begin = time.monotonic()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append(time.monotonic() - begin)
    return min(took)


def seconds(cost: Cost, of_a_sample: tuple[float, float]) -> float:
    """About how long a stage takes."""
    return cost.forward * of_a_sample[0] + cost.gradient * of_a_sample[1]
