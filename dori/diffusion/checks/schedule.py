"""Whether a pipeline's scheduler is of those whose models DDIM can sample."""

from pathlib import Path

import diffusers
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler
from diffusers.schedulers import KarrasDiffusionSchedulers

from dori.core.errors import InputError
from dori.diffusion.checks.headers import read_json

PREDICTIONS = ("epsilon", "v_prediction")


def scheduler_of(folder: Path) -> DDIMScheduler:
    """DDIM on the schedule that a pipeline was trained on.

    Raises:
        InputError: a scheduler of another kind of model, whose samples would be noise.
    """
    file = folder / "scheduler/scheduler_config.json"
    config = read_json(file)
    kinds = sorted({config.get("_class_name") or scheduler_kind(folder), scheduler_kind(folder)})
    for kind in kinds:
        if kind not in KarrasDiffusionSchedulers.__members__:
            raise InputError(_other(file, kind, "predicts no noise on DDPM's schedule as far as dori knows"))
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise InputError(f"{file}: the model predicts {prediction!r}; {' and '.join(PREDICTIONS)} are known")
    if config.get("use_flow_sigmas"):
        raise InputError(_other(file, "use_flow_sigmas", "is of flow matching"))
    try:
        scheduler = DDIMScheduler.from_config(config, clip_sample=False)
        theirs = [_schedule(kind, config) for kind in kinds]
    except Exception as error:  # a value that no schedule can be made of
        raise InputError(f"{file} makes no schedule: {error}; see the model's own repository") from error
    ours = scheduler.alphas_cumprod
    for kind, alphas in zip(kinds, theirs, strict=True):
        if alphas is None or alphas.shape != ours.shape or not torch.allclose(alphas, ours, atol=1e-6):
            raise InputError(_other(file, kind, "has another noise schedule than DDIM makes of this file"))
    if not (torch.isfinite(ours).all() and (ours[1:] < ours[:-1]).all() and ours[-1] >= 0 and ours[0] < 1):
        raise InputError(f"{file}: its betas add no noise from step to step; they must lie between 0 and 1")
    if prediction == "epsilon" and ours[-1] == 0:
        raise InputError(
            f"{file}: at its last step nothing but noise is left (zero terminal SNR), from which a model that"
            " predicts epsilon draws noise: set prediction_type to v_prediction if it was trained so, else"
            " rescale_betas_zero_snr to false"
        )
    return scheduler


def flow_of(folder: Path) -> FlowMatchEulerDiscreteScheduler:
    """The levels that a flow model was trained on.

    Raises:
        InputError: a scheduler of another kind of model, or with options that change what the levels mean.
    """
    file = folder / "scheduler/scheduler_config.json"
    config, kind = read_json(file), scheduler_kind(folder)
    if kind != FlowMatchEulerDiscreteScheduler.__name__:
        raise InputError(f"{file}: {kind} is no scheduler of flow matching: give the model's own")
    for key in ("invert_sigmas", "stochastic_sampling"):
        if config.get(key):
            raise InputError(f"{file}: {key} is not known here: set it to false")
    try:
        return FlowMatchEulerDiscreteScheduler.from_config(config)
    except Exception as error:  # a value that no schedule can be made of
        raise InputError(f"{file} makes no schedule: {error}; see the model's own repository") from error


def pndm_of(scheduler: DDIMScheduler) -> PNDMScheduler:
    """PNDM (arXiv 2202.09778) on the same schedule, without Runge-Kutta steps, as in Stable Diffusion 1.4.

    Raises:
        InputError: a schedule that PNDM does not know, one without signal at its end.
    """
    found = PNDMScheduler.from_config(scheduler.config, skip_prk_steps=True)
    if torch.equal(found.alphas_cumprod, scheduler.alphas_cumprod):
        return found
    raise InputError(
        "PNDM, the published sampler, does not know this model's noise schedule (zero terminal SNR):"
        " set pruning.scheduler=ddim"
    )


def scheduler_kind(folder: Path) -> str:
    """The class that the pipeline loads its scheduler with."""
    named = read_json(folder / "model_index.json").get("scheduler")
    own = read_json(folder / "scheduler/scheduler_config.json").get("_class_name")
    return str(named[-1] if isinstance(named, list) and named and named[-1] else own)


def check_steps(scheduler: DDIMScheduler, steps: int, name: str) -> None:
    """Raises InputError where so many sampling steps lead outside of the schedule."""
    length = scheduler.config.num_train_timesteps
    sampler = DDIMScheduler.from_config(scheduler.config)
    if steps <= length:
        sampler.set_timesteps(steps)
        if min(sampler.timesteps) >= 0 and max(sampler.timesteps) < length:
            return
    raise InputError(f"{name}={steps}, but the model has {length} timesteps: take fewer steps")


def _schedule(kind: str, config: dict) -> torch.Tensor | None:
    """The share of signal, squared, that a scheduler leaves at each timestep; EDM's has none such."""
    return getattr(getattr(diffusers, kind).from_config(config), "alphas_cumprod", None)


def _other(file: Path, kind: str, why: str) -> str:
    return (
        f"{file}: {kind} {why}, so that DDIM would draw noise from this model: dori knows models of Stable"
        " Diffusion's schedule (DDIM, PNDM, LMS, Euler, DPM-Solver)"
    )
