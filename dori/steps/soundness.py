"""Models are looked at once, before any long work: a stage, so that a cached run reads no weights."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dori.diffusion import Diffusion
from dori.diffusion.checks.sound import check_sound

if TYPE_CHECKING:
    from dori.core.stages import Info, Stages
    from dori.diffusion.family import Family

HALF = 0.5  # ours: far from what a trained model gives either way
log = logging.getLogger(__name__)


def check_models(stages: "Stages", *models: Diffusion | None) -> None:
    """Raises InputError where a model's weights, or what it makes of noise, are not finite."""
    for model in models:
        if model is not None:
            check_model(stages, model, model.name)


def check_model(stages: "Stages", model: Diffusion, name: str) -> None:
    """The same of one model, which the stage calls by a ``name``."""
    result = stages.run("sound", {"model": model.identity}, partial(_look, model), f"check: {name}")
    if result.made:
        _warn(model, result.info["noise_correlation"])


def _look(model: Diffusion, folder: Path) -> "Info":
    return {"noise_correlation": check_sound(cast("Family", model))}  # which every model is


def _warn(model: Diffusion, correlation: float) -> None:
    """Of noise alone, a model that predicts noise or velocity finds nearly all, one of v next to nothing."""
    kind = model.schedule.predicts
    if (kind != "v_prediction") != (correlation > HALF):
        log.warning(
            "%s says that it predicts %s, but its answer to pure noise has a correlation of %.2f with it,"
            " where %s is usual: is prediction_type right in %s?",
            model.name, kind, correlation, "nearly 0" if kind == "v_prediction" else "nearly 1",
            model.folder / "scheduler/scheduler_config.json",
        )  # fmt: skip
