"""The measuring stages: images to features, kept so that rows are a matter of arithmetic."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from torch import Tensor

from dori.core.predict import Predictor
from dori.data.targets import Target
from dori.metrics.sscd_orig import sscd_orig

if TYPE_CHECKING:
    from dori.steps.run import Run
    from dori.steps.subjects import Pictures

Features = dict[str, Tensor]


def describe(run: "Run", pictures: "Pictures") -> Features:
    """The features of a setting's images, as a stage."""
    label = f"measure: {pictures.setting}"
    inputs = {
        "images": pictures.result.fingerprint, "evaluation": run.evaluation.identity,
        "targets": [target.identity for target in pictures.targets], "texts": pictures.texts,
    }  # fmt: skip

    def compute(folder: Path) -> dict:
        run.evaluation.made.describe(
            pictures.result.folder, pictures.targets, pictures.texts, pictures.seeds, folder,
            Predictor(run.trainer, label),
        )  # fmt: skip
        return {}

    result = run.stages.run("features", inputs, compute, label, by_all=True)
    return load_file(result.folder / "features.safetensors")


def originals_of(run: "Run", targets: list[Target]) -> Features:
    """The features of the training images, as a stage."""
    label = "measure: training images"
    inputs = {"targets": [t.identity for t in targets], "evaluation": run.evaluation.identity}

    def compute(folder: Path) -> dict:
        run.evaluation.made.describe_originals(targets, folder, Predictor(run.trainer, label))
        return {"ruler": run.evaluation.made.networks["sscd"].name}

    result = run.stages.run("originals", inputs, compute, label, by_all=True)
    return load_file(result.folder / "features.safetensors")


def similarities(
    features: Features, originals: Features, targets: list[Target], order: list[Target]
) -> Features:
    """SSCD_Orig and SSCD_Frame (targets, seeds); ``order``: the targets as in ``originals``."""
    where = {target.name: i for i, target in enumerate(order)}
    places = [where[target.name] for target in targets]
    families = originals["sscd"].split(originals["count"].int().tolist())
    frames = originals["frame"][places]
    return {
        "orig": sscd_orig(features["sscd"], [families[i] for i in places]),
        "frame": sscd_orig(features["frame"], frames),
    }


def reference_of(run: "Run") -> tuple[Tensor, str] | None:
    """Features (n, d) of the held-out pictures of the ordinary captions, where there are any; and whose."""
    ordinary, label = run.data.ordinary, "measure: held-out pictures"
    if not ordinary.images:
        return None
    inputs = {"pictures": ordinary.identity, "evaluation": run.evaluation.identity}

    def compute(folder: Path) -> dict[str, Any]:
        run.evaluation.made.describe_reference(ordinary, folder, Predictor(run.trainer, label))
        return {"features": run.evaluation.made.networks["quality"].name}

    result = run.stages.run("reference", inputs, compute, label, by_all=True)
    features = load_file(result.folder / "features.safetensors")["quality"]
    return features, f"{result.info['features']}, {features.shape[1]} features"
