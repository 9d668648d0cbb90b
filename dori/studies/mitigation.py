"""The main study: does a mitigation remove memorized images, or only hide them?"""

import pandas as pd

from dori.config import identity
from dori.data import MEMORIZED
from dori.errors import InputError
from dori.pruning import Method, random
from dori.pruning.selection import Keep, Selection
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
        drawn += [
            run.draw(subject, everyone, each) for each in run.attacked_within_budgets(subject, everyone)
        ]
        if twin:
            drawn += [
                run.draw(twin, memorized, each) for each in run.attacked_within_budgets(twin, memorized)
            ]

    return rows_of(run, drawn, quality)


def prune(run: Run, method: Method) -> tuple[Subject, Subject]:
    """The pruned model, and the one pruned at random by as many weights in the same layers.

    A method that prunes for each prompt on its own does so for the controls' prompts too.
    """
    if not run.data.of(*MEMORIZED):
        raise InputError("pruning needs memorized prompts, but the data has none")
    targets = run.data.targets if method.per_prompt else run.data.of(*MEMORIZED)
    recipe = {
        "pruning": identity(run.cfg.pruning), "targets": [target.identity for target in targets],
        "ordinary": run.data.captions,
    }  # fmt: skip
    own = targets if method.per_prompt else None
    mask = run.find_mask(
        lambda keep: method.select(run.diffusion, targets, run.data, keep), method.name, recipe, own
    )
    subject = Subject(method.name, run.diffusion, mask)

    def like(_keep: Keep) -> Selection:
        names = [target.name for target in own] if own else [None]
        return Selection([random.like(subject.mask_of(name) or {}, run.cfg.seed) for name in names])

    control = run.find_mask(like, "random", {"like": mask.fingerprint, "seed": run.cfg.seed}, own)
    return subject, Subject("random", run.diffusion, control)
