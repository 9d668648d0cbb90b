"""What every row says of a setting, whatever was measured on it."""

from typing import Any

from dori.studies.attacking import choices, spent
from dori.studies.run import Run
from dori.studies.subjects import Pictures

Row = dict[str, Any]
# null in the rows of what was not attacked
ATTACK = (
    "steps", "start", "constraint", "epsilon", "objective", "window", "restarts", "tokens", "pairs", "stop",
)  # fmt: skip


def base_row(
    run: Run, pictures: Pictures, kind: str, metrics: dict, failed: list[str], unet: int, gradient: int
) -> Row:
    subject, cfg, targets = pictures.subject, run.cfg, pictures.targets
    models = {
        each.name: each for each in (subject, *([pictures.attacked.subject] if pictures.attacked else []))
    }
    texts = [t for i, t in enumerate(pictures.texts) if not targets or targets[i].kind == kind]
    before = sum(each.evaluations for each in models.values())
    return {
        "setting": pictures.setting, "kind": kind, "model": subject.diffusion.name,
        "pruning": subject.pruning, "defense": subject.defense,
        "attack": cfg.attack.name if pictures.attacked else "none",
        "params": params_of(run, pictures), "metrics": metrics, "failed": failed,
        "cut_prompts": run.diffusion.cut(texts),
        "fingerprint": pictures.result.fingerprint,
        "unet_evaluations": unet + before, "gradient_evaluations": gradient,
    }  # fmt: skip


def params_of(run: Run, pictures: Pictures) -> dict[str, Any]:
    """What a row was made with, flat: the axes along which rows are compared."""
    cfg, model = run.cfg, pictures.subject.diffusion
    trained = pictures.subject.defense != "none"
    seeds = pictures.seeds if pictures.targets else model.images_per_prompt
    attacked = pictures.attacked
    attack = {**choices(cfg.attack), **spent(cfg.attack, attacked.budget)} if attacked else {}
    # of another seed than the run's only where somebody asked for it
    own_seed = attack.pop("seed", None)
    return {
        **dict.fromkeys(ATTACK), **attack, "attack_seed": None if own_seed == cfg.seed else own_seed,
        "ratio": pictures.subject.ratio,
        **{key: cfg.defense.get(key) if trained else None for key in ("epochs", "updates")},
        "images_per_prompt": seeds // pictures.restarts, "sampling_steps": model.sampling_steps,
        "guidance": model.guidance, "seed": cfg.seed,
    }  # fmt: skip
