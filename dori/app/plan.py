"""What a job is going to do: its stages, rehearsed, and how long the device at hand takes for them."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from dori.app.course import Foretold
from dori.core.config import build
from dori.core.costs import Cost
from dori.core.predict import Predictor
from dori.core.ranks import world
from dori.core.rehearsal import NotMade, Planned, Rehearsal
from dori.steps.run import Run

log = logging.getLogger(__name__)
SECONDS = 1.0  # of measuring, forward and backward each
FEW = 16  # samples of a call that is measured on a CPU, which more of them would not make faster
MEASURE = "measure: "  # stages that look at pictures, which all others come before


@dataclass(frozen=True)
class Plan:
    """The stages that can be foretold; ``whole``: nothing that draws or trains comes after them."""

    stages: list[Planned]
    whole: bool


def rehearsed(run: Run) -> Plan:
    """The stages of a job's study, up to the first that depends on what is not computed yet."""
    rehearsal = Rehearsal(run.stages.root, run.stages.shared)
    try:
        build(run.cfg.study)(replace(run, stages=rehearsal))
        whole = True
    except NotMade:
        last = rehearsal.planned[-1]
        whole = not last.cost.weight and last.label.startswith(MEASURE)
    return Plan(list({each.label: each for each in rehearsal.planned}.values()), whole)


def foretold(run: Run) -> Foretold:
    """What each stage costs, for the display; nothing where that cannot be told."""
    if world() > 1:  # a rehearsal is no work for all ranks
        return Foretold({}, whole=False)
    try:
        plan = rehearsed(run)
        weights = {each.label: float(each.cost.weight) for each in plan.stages if not each.cached}
        return Foretold(weights, plan.whole)
    except Exception as error:  # somebody's own study, say: no job fails by its display
        log.debug("no plan: %s: %s", type(error).__name__, error)
        return Foretold({}, whole=False)


def pace(run: Run) -> tuple[float, float]:
    """Seconds for a sample through the denoiser, forward, and forward and backward, on the job's device."""
    model = run.diffusion
    with Predictor(run.trainer).placed(model.networks):
        count = min(model.batch, FEW) if model.device.type == "cpu" else model.batch
        z = torch.randn(count, *model.latent_shape).to(model.device, model.dtype)
        y = model.encode_prompts([""]).expand(count, -1, -1).contiguous()
        t = torch.full((count,), model.schedule.length // 2, device=model.device)

        def forward() -> None:
            with torch.no_grad():
                model.predict(z, t, y)

        def both() -> None:
            moved = y.detach().clone().requires_grad_(True)
            with torch.enable_grad():
                model.predict(z, t, moved).square().mean().backward()

        return _timed(forward) / count, _timed(both) / count


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
