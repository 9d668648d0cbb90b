"""Images of a model under test as a stage, whatever mask it carries and whatever was found for it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dori.core.costs import Cost
from dori.core.predict import Predictor
from dori.data import Target
from dori.data.targets import embedded
from dori.diffusion.images import draw as sample
from dori.pruning import masks
from dori.steps.subjects import Attacked, Pictures, Subject

if TYPE_CHECKING:
    from dori.core.stages import Result
    from dori.steps.run import Run


def draw(
    run: "Run", subject: Subject, targets: list[Target], attacked: Attacked | None = None,
    seeds: int | None = None,
) -> Pictures:  # fmt: skip
    """Images of the targets' prompts, or of what an attack found for them.

    ``seeds`` of each, and of each restart; default, as many as the model's settings say.
    """
    setting = subject.name
    if attacked:
        assert run.attack is not None
        found_on = attacked.subject.name
        setting = f"{found_on}+{run.attack.name}"
        setting += f">{subject.name}" if subject.name != found_on else ""
    names, texts = [t.name for t in targets], [t.prompt for t in targets]
    seeds = (seeds or run.diffusion.images_per_prompt) * (attacked.restarts if attacked else 1)
    what: Any = texts if attacked is None else attacked.result.fingerprint
    if any(target.embedding is not None for target in targets):
        what = [target.identity for target in targets]
    result = _images(run, subject, setting, targets, names, texts, what, seeds, attacked)
    return Pictures(setting, subject, targets, texts, result, seeds, attacked)


def draw_ordinary(run: "Run", subject: Subject) -> list[Pictures]:
    """What quality is measured on: an image of every ordinary caption, and ``evaluation.quality``'s."""
    asked = {"ordinary": (run.data.ordinary.captions, 1)}
    for name, suite in run.evaluation.made.quality.items():
        asked[f"quality/{name}"] = (suite.prompts, suite.images)
    found = []
    for kind, (texts, seeds) in asked.items():
        if texts:
            names = [f"{kind}/{i:05d}" for i in range(len(texts))]
            label = f"{subject.name}, {'ordinary captions' if kind == 'ordinary' else kind}"
            result = _images(run, subject, label, [], names, texts, texts, seeds, None)
            found.append(Pictures(subject.name, subject, [], texts, result, seeds, kind=kind))
    return found


def _images(
    run: "Run", subject: Subject, label: str, targets: list[Target], names: list[str], texts: list[str],
    what: Any, seeds: int, attacked: Attacked | None,
) -> "Result":  # fmt: skip
    """``seeds`` images of each of the ``names``, of their ``texts`` or of what an attack found for them.

    ``what`` they are images of enters the fingerprint.
    """
    model = subject.diffusion
    inputs = {
        **subject.inputs, "names": names, "of": what, "seeds": seeds, "seed": run.cfg.seed,
        "sampling_steps": model.sampling_steps, "guidance": model.guidance,
    }  # fmt: skip

    cost = Cost(len(names) * seeds * model.evaluations_per_image)

    def compute(folder: Path) -> dict:
        triggers = attacked.triggers if attacked else {}
        if attacked:
            embeddings = triggers["embeddings"]
        else:
            with Predictor(run.trainer, label).placed(model.networks):
                embeddings = (embedded(targets, model.read) if targets else model.read(texts)).cpu()
        everything = [(subject.mask_of(), list(range(len(names))))]
        groups = subject.groups(targets) if targets else everything
        some = partial(
            sample, model, embeddings, names, seeds, folder, Predictor(run.trainer, f"images: {label}"),
            run.cfg.seed, restarts=attacked.restarts if attacked else 1, triggers=triggers,
        )  # fmt: skip
        if len(groups) > 1 and all(masks.is_of_neurons(mask or {}) for mask, _ in groups):
            whose = {place: mask or {} for mask, places in groups for place in places}
            some(inside=lambda rows: masks.blocked(model.denoiser, [whose[row] for row in rows]))
        else:
            for mask, places in groups:
                with subject.applied(mask):
                    some(places=places)
        return {"denoiser_evaluations": cost.forward}

    return run.stages.run("images", inputs, compute, f"images: {label}", by_all=True, cost=cost)
