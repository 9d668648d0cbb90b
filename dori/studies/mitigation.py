"""The main study: does a mitigation remove memorized images, or only hide them?"""

import pandas as pd

from dori.config import identity
from dori.data import MEMORIZED
from dori.pruning import Wanda, masks, random
from dori.studies.rows import Row, rows_of
from dori.studies.run import Run
from dori.studies.subjects import Subject


def mitigation(run: Run) -> tuple[list[Row], pd.DataFrame]:
    """original -> mask -> mitigated -> attack on all, and on the twin -> recovered -> rows.

    Controls (seen and unseen images) are attacked with the same budget as the memorized ones, and
    random pruning of as many weights stands beside the mitigation.
    """
    everyone, memorized = run.data.targets, run.data.of(*MEMORIZED)
    drawn = [run.draw(run.original, everyone)]
    quality = run.draw_ordinary(run.original)

    subject = run.original
    if run.pruning:
        subject, baseline = prune(run, run.pruning)
        run.mitigated = subject
        for each in (baseline, subject):
            drawn.append(run.draw(each, everyone))
            quality += run.draw_ordinary(each)

    twin = Subject("twin", run.diffusion.twin) if run.diffusion.twin else None
    if twin:
        drawn.append(run.draw(twin, memorized))
    if run.attack:
        drawn += [run.draw(subject, everyone, run.attacked(subject, everyone))]
        if twin:
            drawn += [run.draw(twin, memorized, run.attacked(twin, memorized))]

    return rows_of(run, drawn, quality)


def prune(run: Run, method: Wanda) -> tuple[Subject, Subject]:
    """The pruned model, and the one pruned at random by as many weights in the same layers."""
    prompts = [target.prompt for target in run.data.of(*MEMORIZED)]
    ordinary = run.data.captions if method.base == "ordinary" else []
    recipe = {"pruning": identity(run.cfg.pruning), "prompts": prompts, "ordinary": ordinary}
    evaluations = method.evaluations(len(prompts), len(ordinary))
    mask = run.find_mask(
        lambda model: (method.select(model, prompts, ordinary), evaluations), method.name, recipe
    )
    found = masks.load(mask.folder / "mask.safetensors") if mask else {}
    control = run.find_mask(
        lambda model: (random.like(found, run.cfg.seed), 0),
        "random",
        {"like": mask.fingerprint, "seed": run.cfg.seed},
    )
    return Subject(method.name, run.diffusion, mask), Subject("random", run.diffusion, control)
