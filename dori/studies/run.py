"""What every study works with: the configured parts, the stage cache, and models under test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig

from dori.attacks import Attack
from dori.attacks.attack import merge_parts
from dori.config import build, identity
from dori.data import MEMORIZED, Data, Target
from dori.diffusion import StableDiffusion
from dori.diffusion.images import draw
from dori.evaluation import Evaluation
from dori.predict import Predictor
from dori.pruning import Mask, Method, masks
from dori.pruning.selection import Keep, Selection
from dori.stages import Result, Stages
from dori.studies.subjects import Attacked, Pictures, Subject

PARTS = ("start", "constraint")
Groups = list[tuple[Mask | None, list[int]]]
SAMPLING = ["diffusion", "predict.py", "randomness.py"]


@dataclass
class Run:
    """The configured parts of one job, and the stages that every study is made of."""

    cfg: DictConfig
    stages: Stages
    diffusion: StableDiffusion
    data: Data
    pruning: Method | None
    attack: Attack | None
    evaluation: Evaluation
    trainer: partial[Trainer]
    attacks: dict[str, Attacked] = field(default_factory=dict)
    mitigated: Subject | None = None

    @classmethod
    def configured(cls, cfg: DictConfig) -> "Run":
        """Build all parts; whatever is wrong with them is found here, before any long work."""
        diffusion = build(cfg.model)
        data = build(cfg.data)
        pruning = build(cfg.pruning) if "_target_" in cfg.pruning else None
        attack = build(cfg.attack) if "_target_" in cfg.attack else None
        evaluation = build(cfg.evaluation)
        diffusion.check_prompts([*(t.prompt for t in data.targets), *data.ordinary.captions])
        shared = {"precision": str(cfg.trainer.precision)}
        stages = Stages(Path(cfg.cache).expanduser(), shared)
        return cls(cfg, stages, diffusion, data, pruning, attack, evaluation, build(cfg.trainer))

    @cached_property
    def evaluation_identity(self) -> Any:
        return identity(self.cfg.evaluation)

    def params(self, pictures: Pictures) -> dict[str, Any]:
        """What a row was made with, flat: the axes along which rows are compared."""
        cfg, model = self.cfg, pictures.subject.diffusion
        seeds = pictures.seeds if pictures.targets else model.images_per_prompt
        attack = cfg.attack if pictures.attacked else {}
        choice = (
            {part: str(cfg.attack[part]["_target_"]).rsplit(".", 1)[1] for part in PARTS} if attack else {}
        )
        return {
            "steps": attack.get("steps"), "start": choice.get("start"),
            "constraint": choice.get("constraint"), "restarts": 1 if attack else None,
            "epsilon": attack["constraint"].get("epsilon") if attack else None,
            "ratio": cfg.pruning.get("ratio") if pictures.subject.mask else None,
            "images_per_prompt": seeds, "sampling_steps": model.sampling_steps,
            "guidance": model.guidance, "seed": cfg.seed,
        }  # fmt: skip

    def predictor(self, label: str) -> Predictor:
        return Predictor(self.trainer, label)

    @property
    def original(self) -> Subject:
        return Subject("original", self.diffusion)

    def draw(
        self, subject: Subject, targets: list[Target], attacked: Attacked | None = None,
        seeds: int | None = None,
    ) -> Pictures:  # fmt: skip
        """Images of the targets' prompts, or of the embeddings that an attack found for them.

        ``seeds`` of each; default, as many as the model's settings say.
        """
        setting = subject.name if attacked is None else f"{subject.name}+{self.cfg.attack.name}"
        names, texts = [t.name for t in targets], [t.prompt for t in targets]
        seeds = seeds or self.diffusion.images_per_prompt
        what: Any = texts if attacked is None else attacked.result.fingerprint
        groups = subject.groups(targets)
        result = self._draw(subject, setting, names, texts, what, seeds, attacked, groups)
        return Pictures(setting, subject, targets, texts, result, seeds, attacked)

    def draw_ordinary(self, subject: Subject) -> list[Pictures]:
        """One image of every ordinary caption, what quality is measured on; nothing without captions."""
        if not (texts := self.data.ordinary.captions):
            return []
        names = [f"ordinary/{i:05d}" for i in range(len(texts))]
        label, groups = f"{subject.name}, ordinary captions", [(subject.mask_of(), list(range(len(texts))))]
        result = self._draw(subject, label, names, texts, texts, 1, None, groups)
        return [Pictures(subject.name, subject, [], texts, result, 1)]

    def _draw(
        self, subject: Subject, label: str, names: list[str], texts: list[str], what: Any, seeds: int,
        attacked: Attacked | None, groups: Groups,
    ) -> Result:  # fmt: skip
        model = subject.diffusion
        inputs = {
            **subject.inputs, "names": names, "of": what, "seeds": seeds, "seed": self.cfg.seed,
            "sampling_steps": model.sampling_steps, "guidance": model.guidance,
        }  # fmt: skip

        def compute(folder: Path) -> dict:
            embeddings = model.encode_prompts(texts) if attacked is None else attacked.triggers["embeddings"]
            for mask, places in groups:
                with subject.applied(mask):
                    draw(
                        model, embeddings, names, seeds, folder,
                        self.predictor(f"images: {label}"), self.cfg.seed, places,
                    )  # fmt: skip
            return {"unet_evaluations": len(names) * seeds * model.evaluations_per_image}

        return self.stages.run("images", inputs, SAMPLING, compute, f"images: {label}")

    def attacked(self, subject: Subject, targets: list[Target]) -> Attacked:
        """The attack on a subject, for all targets at once."""
        attack = self.attack
        assert attack is not None
        inputs = {
            **subject.inputs, "attack": identity(self.cfg.attack),
            "targets": [target.identity for target in targets],
        }  # fmt: skip
        label = f"attack: {attack.name} on {subject.name}"

        def compute(folder: Path) -> dict:
            for mask, places in subject.groups(targets):
                with subject.applied(mask) as diffusion:
                    attack.run(diffusion, targets, places, folder, self.predictor(label))
            merge_parts(folder)
            return {"gradient_evaluations": attack.evaluations(len(targets))}

        result = self.stages.run("attack", inputs, ["attacks", "data/targets.py", *SAMPLING], compute, label)
        self.attacks[subject.name] = Attacked(subject, targets, result)
        return self.attacks[subject.name]

    def find_mask(
        self, select: Callable[[Keep], Selection], name: str, recipe: dict, own: list[Target] | None = None
    ) -> Result:
        """What a method selects, as a stage: ``mask.safetensors``, the one of all targets.

        Where the targets in ``own`` have one each, these are ``mask-00000`` and so on, and ``mask``
        is the union of those of the memorized ones.
        """
        inputs = {"model": self.diffusion.fingerprint, "recipe": recipe, **self._similarity}

        def compute(folder: Path) -> dict:
            selection = select(self.keep)
            parts = selection.masks
            if own:
                for place, mask in enumerate(parts):
                    masks.save(mask, folder / f"mask-{place:05d}.safetensors", recipe)
                parts = [m for m, target in zip(parts, own, strict=True) if target.kind in MEMORIZED]
            whole = masks.union(*parts)
            masks.save(whole, folder / "mask.safetensors", recipe)
            return {
                "unet_evaluations": selection.evaluations, "pruned": masks.count(whole),
                "weights": sum(part.numel() for part in whole.values()), "facts": selection.facts,
                "targets": {target.name: place for place, target in enumerate(own or [])},
            }  # fmt: skip

        return self.stages.run("mask", inputs, ["pruning", *SAMPLING], compute, f"mask: {name}")

    def keep(self, name: str, inputs: dict, compute: Callable[[Path], dict]) -> Path:
        """A stage of a pruning method: what it needs to know of the model, whatever the targets."""
        inputs = {"model": self.diffusion.fingerprint, **inputs, **self._similarity}
        return self.stages.run(name, inputs, ["pruning", *SAMPLING], compute, name.replace("_", " ")).folder

    @property
    def _similarity(self) -> dict[str, Any]:
        model = self.cfg.model
        return {key: identity(model[key]) for key in ("noise_similarity", "noise_timestep") if key in model}
