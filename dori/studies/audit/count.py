"""How much an audit draws and attacks, told before it begins."""

from dori.data.collection import HELD_OUT, TRAINING, Collection
from dori.steps.run import Run
from dori.studies.audit.beforehand import of_nobody
from dori.studies.audit.options import Options


def counted(run: Run, options: Options, data: Collection) -> tuple[int, int]:
    """Pictures that are drawn, and attempts of the attack, where nothing is copied on the way.

    What is copied leaves the more costly steps, but the base is asked for the same.
    """
    if data.generated:
        return 0, 0
    n, m = len(data.of(TRAINING)), len(data.of(HELD_OUT))
    based = run.diffusion.twin is not None
    controls = m or (max(1, round(data.share * n)) if based else 0)
    reworded = n + (m or n * based)
    drawn = options.seeds * (n + controls) + options.rewordings * reworded
    drawn += options.others * len(of_nobody(data.trigger))
    if based and options.guidance:
        drawn += n + (min(m, options.controls) or n)
    attempts = 0
    if run.attack:
        tried = min(options.elicit, n)
        attempts = len(options.balls) * (
            tried * (1 + based) + min(m, options.controls_attacked) * bool(tried)
        )
    return drawn + attempts * options.images, attempts
