"""Models under test that are pruned: by a method, and the same amount at random."""

from omegaconf import DictConfig

from dori.config import identity
from dori.data import MEMORIZED, Target
from dori.errors import InputError
from dori.pruning import Method, random
from dori.pruning.selection import Keep, Selection
from dori.stages import Result
from dori.studies.run import Run
from dori.studies.subjects import Subject

RANDOM = "random"  # the setting of the baseline


def prune(
    run: Run, method: Method, cfg: DictConfig | None = None, memorized: list[Target] | None = None
) -> Subject:
    """The model pruned for the memorized targets, or some of them; ``cfg``: the method's, if not the run's.

    A method that prunes for each prompt on its own does so for the controls' prompts too.
    """
    some = run.data.of(*MEMORIZED) if memorized is None else memorized
    if not some:
        raise InputError("pruning needs memorized prompts, but the data has none")
    targets = run.data.targets if method.per_prompt and memorized is None else some
    own = {target.name: i for i, target in enumerate(targets)} if method.per_prompt else None
    mask = find(run, method, targets, method.name, own, cfg)
    ratio = (cfg or run.cfg.pruning).get("ratio")
    return Subject(method.name, run.diffusion, mask, pruning=method.name, made=mask, ratio=ratio)


def find(
    run: Run, method: Method, targets: list[Target], name: str, own: dict[str, int] | None = None,
    cfg: DictConfig | None = None,
) -> Result:  # fmt: skip
    """The stage of a method's mask for some targets."""
    recipe = {
        "pruning": identity(cfg or run.cfg.pruning), "targets": [target.identity for target in targets],
        "captions": run.data.captions, "ordinary": run.data.ordinary.identity,
    }  # fmt: skip
    return run.find_mask(
        lambda keep: method.select(run.diffusion, targets, run.data, keep), name, recipe, own
    )


def at_random(run: Run, subject: Subject) -> Subject:
    """The model pruned at random by as many weights in the same layers, target by target."""
    assert subject.mask is not None
    own = subject.mask.info["targets"]

    def like(_keep: Keep) -> Selection:
        first = {place: name for name, place in reversed(own.items())} if own else {0: None}
        names = [first[place] for place in sorted(first)]
        return Selection([random.like(subject.mask_of(n) or {}, run.cfg.seed, n or "") for n in names])

    recipe = {"like": subject.mask.fingerprint, "seed": run.cfg.seed}
    mask = run.find_mask(like, RANDOM, recipe, own or None)
    return Subject(RANDOM, run.diffusion, mask, pruning="random", made=mask, ratio=subject.ratio)
