"""What every study works with: the configured parts, the stage cache, and models under test."""

from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from dori.attacks import Attack
from dori.attacks.budgets import Budget
from dori.core.config import build, expand_home
from dori.core.errors import InputError
from dori.core.fingerprints import fingerprint, identity
from dori.core.settings import of_attack, settings
from dori.core.stages import Stages
from dori.data import MEMORIZED, Data, Target
from dori.defenses import Finetuning
from dori.diffusion import StableDiffusion
from dori.diffusion.guard import Guard
from dori.pruning import Method
from dori.steps.attack import within_budgets
from dori.steps.draw import images
from dori.steps.measuring.evaluation import Evaluation
from dori.steps.subjects import Attacked, Pictures, Subject

# of a trainer: where it works, and how that is told; none of it changes a result
PLACE = ("accelerator", "devices", "num_nodes", "strategy", "logger", "use_distributed_sampler")


def arithmetic(trainer: DictConfig) -> dict[str, Any]:
    """What of a trainer every result depends on: its precision, and whatever else somebody sets."""
    found = {
        key: value for key, value in identity(trainer).items()
        if key not in PLACE and not key.startswith("enable_")
    }  # fmt: skip
    plugins = [each for each in found.get("plugins") or [] if ".environments." not in each["_target_"]]
    return {**found, "plugins": plugins}


@dataclass
class Run:
    """The configured parts of one job, and the stages that every study is made of."""

    cfg: DictConfig
    stages: Stages
    diffusion: StableDiffusion
    data: Data
    pruning: Method | None
    defense: Finetuning | Guard | None
    attack: Attack | None
    evaluation: Evaluation
    trainer: partial[Trainer]
    attacks: dict[str, Attacked] = field(default_factory=dict)
    mitigated: Subject | None = None

    @classmethod
    def configured(cls, cfg: DictConfig) -> "Run":
        """Build all parts; whatever is wrong with them is found here, before any long work."""
        expand_home(cfg)
        diffusion = build(cfg.model)
        data = build(cfg.data)
        pruning = build(cfg.pruning) if "_target_" in cfg.pruning else None
        defense = build(cfg.defense) if "_target_" in cfg.defense else None
        attack = build(cfg.attack) if "_target_" in cfg.attack else None
        evaluation = build(cfg.evaluation)
        evaluation.check()
        build(cfg.margins)
        diffusion.check_prompts(*map(list, zip(*data.prompts, strict=True)))
        if pruning and not data.of(*MEMORIZED):
            raise InputError("pruning needs memorized prompts, but the data has none: set pruning=none")
        for part in (attack, pruning, defense):
            if part:
                part.check(diffusion, data)
        if defense and not isinstance(defense, Finetuning) and cfg.save_model:
            raise InputError(
                f"defense={cfg.defense.name} changes no weights, and there are none to save: set"
                " save_model=false"
            )
        stages = Stages(Path(cfg.cache).expanduser(), arithmetic(cfg.trainer))
        trainer = build(cfg.trainer)
        return cls(cfg, stages, diffusion, data, pruning, defense, attack, evaluation, trainer)

    @cached_property
    def evaluation_identity(self) -> Any:
        return identity(self.cfg.evaluation)

    def told(self, where: str) -> dict[str, Any]:
        """All settings of the part at a place of the configuration, see ``dori.core.settings``."""
        return settings(OmegaConf.select(self.cfg, where), where)

    def told_of_attack(self, budget: Budget) -> dict[str, Any]:
        """The same of the attack: of its budgets the one that was spent."""
        return of_attack(self.cfg.attack, budget.steps, budget.epsilon)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``params`` of every row: study, model, data, evaluation, margins, seed and precision."""
        cfg, data, found = self.cfg, self.data, settings(self.cfg.model, "model", content=False)
        for part in ("study", "data", "evaluation", "margins"):
            found |= self.told(part)
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

    def draw(
        self, subject: Subject, targets: list[Target], attacked: Attacked | None = None,
        seeds: int | None = None,
    ) -> Pictures:  # fmt: skip
        """Images of the targets' prompts, or of the embeddings that an attack found for them.

        ``seeds`` of each, and of each restart; default, as many as the model's settings say.
        """
        setting = subject.name
        if attacked:
            found_on = attacked.subject.name
            setting = f"{found_on}+{self.cfg.attack.name}"
            setting += f">{subject.name}" if subject.name != found_on else ""
        names, texts = [t.name for t in targets], [t.prompt for t in targets]
        seeds = (seeds or self.diffusion.images_per_prompt) * (attacked.restarts if attacked else 1)
        what: Any = texts if attacked is None else attacked.result.fingerprint
        if any(target.embedding is not None for target in targets):
            what = [target.identity for target in targets]
        result = images(self, subject, setting, targets, names, texts, what, seeds, attacked)
        return Pictures(setting, subject, targets, texts, result, seeds, attacked)

    def draw_ordinary(self, subject: Subject) -> list[Pictures]:
        """One image of every ordinary caption, what quality is measured on; nothing without captions."""
        if not (texts := self.data.ordinary.captions):
            return []
        names = [f"ordinary/{i:05d}" for i in range(len(texts))]
        result = images(self, subject, f"{subject.name}, ordinary captions", [], names, texts, texts, 1, None)
        return [Pictures(subject.name, subject, [], texts, result, 1)]

    def attacked(self, subject: Subject, targets: list[Target]) -> Attacked:
        """The attack on a subject, for all targets at once, at the one budget that is asked for."""
        self.check_one_budget()
        (found,) = within_budgets(self, subject, targets)
        return found

    def check_no_defense(self, study: str) -> None:
        """Raises InputError where a defense is configured that this study would not look at."""
        if self.defense:
            raise InputError(
                f"study={study} looks at pruning, not at defense={self.cfg.defense.name}: set"
                " defense=none, or study=mitigation"
            )

    def check_one_budget(self) -> None:
        """Raises InputError where the attack has several budgets; studies of one ask before long work."""
        if self.attack and len(self.attack.budgets) > 1:
            raise InputError(
                f"this study takes one budget, but attack.epsilons and attack.snapshots give"
                f" {len(self.attack.budgets)}: set both to null, or to one value"
            )
