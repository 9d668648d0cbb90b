"""Metrics of somebody's own: functions of pictures and their prompts, each kept as a stage of its own."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.core.errors import InputError
from dori.core.files import save_tensors
from dori.core.parts import Part
from dori.diffusion.images import load
from dori.metrics.intervals import Estimate, mean_estimate
from dori.steps.run import Run
from dori.steps.subjects import Pictures


def own_metrics(run: Run, pictures: Pictures, places: list[int] | slice = slice(None)) -> dict[str, Estimate]:
    """Of the prompts at ``places``: the mean over the pictures of each, then over the prompts, by name."""
    return {
        name: mean_estimate(_values(run, pictures, name, metric)[places].mean(1))
        for name, metric in run.metrics.items()
    }


def _values(run: Run, pictures: Pictures, name: str, metric: Part[Any]) -> Tensor:
    """A metric of every picture, (prompts, seeds); from the cache where they were looked at before."""
    inputs = {
        "images": pictures.result.fingerprint, "metric": metric.identity, "texts": pictures.texts,
        "seeds": pictures.seeds,
    }  # fmt: skip

    @torch.no_grad()
    def compute(folder: Path) -> dict[str, Any]:
        found = []
        for index, text in enumerate(pictures.texts):
            images = load(pictures.result.folder, index, pictures.seeds).float() / 255
            found.append(_checked(metric.made(images, [text] * len(images)), len(images), name))
        save_tensors({"values": torch.stack(found)}, folder / "values.safetensors")
        return {}

    result = run.stages.run("metric", inputs, compute, f"measure: {name} of {pictures.setting}")
    return load_file(result.folder / "values.safetensors")["values"]


def _checked(values: Any, count: int, name: str) -> Tensor:
    if not isinstance(values, Tensor) or values.shape != (count,) or not values.isfinite().all():
        what = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise InputError(
            f"metrics.{name} gave {what}, but must give a tensor ({count},): one finite number for each of"
            f" {count} pictures"
        )
    return values.float().cpu()
