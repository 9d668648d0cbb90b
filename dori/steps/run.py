"""What every study works with: the configured parts, the stage cache, and the models that it begins from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor

from dori.attacks import Attack
from dori.core.config import build, expand_home, part, part_or_none
from dori.core.errors import InputError, Problems
from dori.core.fingerprints import fingerprint, identity
from dori.core.parts import Part
from dori.core.settings import settings
from dori.core.stages import Stages
from dori.data import MEMORIZED, Data
from dori.data.collection import Collection
from dori.defenses import Finetuning, Weights
from dori.diffusion import Diffusion
from dori.diffusion.guard import Guard
from dori.metrics.networks.published import fetch_published
from dori.pruning import Method
from dori.steps.measuring.evaluation import Evaluation
from dori.steps.subjects import Subject

# of a trainer: where it works, and how that is told; none of it changes a result
PLACE = ("accelerator", "devices", "num_nodes", "strategy", "logger", "use_distributed_sampler")

Metric = Callable[[Tensor, list[str]], Tensor]  # pictures (n, 3, h, w) in [0, 1], prompts -> (n,)


def arithmetic(trainer: DictConfig) -> dict[str, Any]:
    """What of a trainer every result depends on: its precision, and whatever else somebody sets."""
    found = {
        key: value for key, value in identity(trainer).items()
        if key not in PLACE and not key.startswith("enable_")
    }  # fmt: skip
    plugins = [each for each in found.get("plugins") or [] if ".environments." not in each["_target_"]]
    return {**found, "plugins": plugins}


def _check_together(cfg: DictConfig, data: Any, pruning: Any, defense: Any) -> None:
    if pruning and data and not data.of(*MEMORIZED):
        raise InputError("pruning needs memorized prompts, but the data has none: set pruning=none")
    if defense and pruning and isinstance(defense.made, Weights):
        raise InputError(
            f"defense={defense.name} has weights of its own, and pruning={pruning.name} is of the model's:"
            " set pruning=none"
        )
    if defense and not isinstance(defense.made, Finetuning | Weights) and cfg.save_model:
        raise InputError(
            f"defense={defense.name} changes no weights, and there are none to save: set save_model=false"
        )


@dataclass(frozen=True)
class Run:
    """The configured parts of one job, and the stages that steps are kept in: data, that no step changes."""

    cfg: DictConfig
    stages: Stages
    diffusion: Diffusion
    data: Data
    pruning: Part[Method] | None
    defense: Part[Finetuning | Weights | Guard] | None
    attack: Part[Attack] | None
    evaluation: Part[Evaluation]
    metrics: dict[str, Part[Metric]]
    trainer: partial[Trainer]

    @classmethod
    def configured(cls, cfg: DictConfig) -> "Run":
        """Build all parts; whatever is wrong with them is found here, before any long work, and told at once.

        Raises:
            InputError: all that is wrong.
        """
        expand_home(cfg)
        wrong = Problems()
        diffusion: Any = wrong.none_or(build, cfg.model)
        data: Any = wrong.none_or(build, cfg.data)
        groups = ("pruning", "defense", "attack")
        pruning, defense, attack = (wrong.none_or(part_or_none, cfg, where) for where in groups)
        evaluation: Any = wrong.none_or(part, cfg, "evaluation")
        metrics: Any = {str(name): wrong.none_or(part, cfg, f"metrics.{name}") for name in cfg.metrics}
        if evaluation:
            if wrong.none_or(fetch_published, cfg.evaluation):
                wrong.none_or(evaluation.made.check)
            wrong.none_or(evaluation.made.check_whole, data is None or isinstance(data, Collection))
        wrong.none_or(build, cfg.margins)
        if diffusion and data:
            if data.prompts:
                wrong.none_or(diffusion.check_prompts, *map(list, zip(*data.prompts, strict=True)))
            for each in (attack, pruning, defense):
                if each:
                    wrong.none_or(each.made.check, diffusion, data)
        wrong.none_or(_check_together, cfg, data, pruning, defense)
        trainer: Any = wrong.none_or(build, cfg.trainer)
        wrong.tell()
        stages = Stages(Path(cfg.cache).expanduser(), arithmetic(cfg.trainer))
        return cls(cfg, stages, diffusion, data, pruning, defense, attack, evaluation, metrics, trainer)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``params`` of every row: study, model, data, evaluation, margins, seed and precision."""
        cfg, data, found = self.cfg, self.data, settings(self.cfg.model, "model", content=False)
        for where in ("study", "data", "evaluation", "metrics", "margins"):
            found |= settings(cfg[where], where)
        pictures = [[target.identity for target in data.targets], data.ordinary.identity]
        for name, model in {"model": self.diffusion, "model.twin": self.diffusion.twin}.items():
            found |= {f"{name}.hash": model.fingerprint[:8]} if model else {}
        own = {"data.hash": fingerprint(pictures)[:8], "seed": cfg.seed}
        return found | own | {"trainer.precision": str(cfg.trainer.precision)}

    @property
    def original(self) -> Subject:
        return Subject("original", self.diffusion)

    @property
    def twin(self) -> Subject | None:
        """The model that never saw the memorized images, where there is one."""
        return Subject("twin", self.diffusion.twin) if self.diffusion.twin else None
