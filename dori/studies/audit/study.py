"""The audit: which training pictures can be got out of a model, how easily, and out of its base as well?"""

from dataclasses import dataclass, replace

import pandas as pd

from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.data.collection import HELD_OUT, TRAINING, Collection
from dori.steps.checks import check_no_quality
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from dori.steps.subjects import Subject
from dori.studies.audit.alone import Alone, alone, apart
from dori.studies.audit.beforehand import Beforehand, beforehand, of_nobody
from dori.studies.audit.checkpoints import findings
from dori.studies.audit.described import read
from dori.studies.audit.drawn import Drawn, nearest, of_files, seen
from dori.studies.audit.elicitation import Balls, in_balls
from dori.studies.audit.options import Options
from dori.studies.audit.pages import Pages
from dori.studies.audit.prompts import from_captions, from_guidance, from_prompts
from dori.studies.audit.record import Audited, record
from dori.studies.audit.routes import Material, Route, judged
from dori.studies.audit.rows import rows_of
from dori.studies.audit.screening import order, screen

__all__ = ["Audit", "findings"]


@neutral("thumbnails")
@dataclass(frozen=True)
class Audit(Options):
    """training set alone -> screening -> captions -> other prompts -> elicitation -> verdicts.

    Every step looks at what the cheaper ones did not bring back.

    Args:
        thumbnails: whether the report shows pictures.
    """

    thumbnails: bool = True

    def __call__(self, run: Run) -> Outcome:
        """Raises InputError: another kind of data."""
        check_no_quality(run, "audit")
        data = run.data
        if not isinstance(data, Collection):
            raise InputError("study=audit looks at a folder of pictures: set data=collection data.path=...")
        model, twin = None if data.generated else run.original, run.diffusion.twin
        base = Subject("base", twin) if model and twin else None
        first = beforehand(run, self, data, model, base)
        pictures, controls = read(first.pictures), read(first.controls)
        sides = data.of(TRAINING), data.of(HELD_OUT)
        assert first.pictures is not None
        judge = first.pictures.info["ruler"]
        given, itself, leaky = prepared(Material(run, self, model, base, *sides, pictures, controls, judge))
        if data.generated:
            found = Audited(given, itself, leaky, [among_outputs(given, of_files(run, data.generated))])
        else:
            found = of_model(given, itself, leaky, data, first)
        told = record(found)
        return Outcome(rows_of(given, told), pd.DataFrame(), pages=Pages(told, self.thumbnails))


def prepared(given: Material) -> tuple[Material, Alone, list[str]]:
    """Without held-out pictures of which the training set has nearly the same, and the names of these; and
    what the training set says by itself."""
    same = given.run.evaluation.made.threshold
    kept = apart(given.controls, given.pictures, same)
    leaky = [target.name for target, good in zip(given.held_out, kept, strict=True) if not good]
    held_out = [target for target, good in zip(given.held_out, kept, strict=True) if good]
    itself = alone(given.training, given.pictures, same)
    return replace(given, held_out=held_out, controls=given.controls[kept]), itself, leaky


def among_outputs(given: Material, drawn: Drawn) -> Route:
    """Somebody's outputs: of every picture the nearest; held-out pictures are compared with the same ones."""
    best = nearest(given.pictures, [target.name for target in given.training], drawn)
    null = nearest(given.controls, [target.name for target in given.held_out], drawn)
    return judged(given, "output", given.training, best, drawn, null.similarity)


def of_model(
    given: Material, itself: Alone, leaky: list[str], data: Collection, first: Beforehand
) -> Audited:
    """Everything that takes the model."""
    options, training = given.options, given.training
    assert given.model is not None
    scores = screen(*first.screened)
    captions = from_captions(given, first.captions, data.share)
    routes, left = [captions], captions.left()
    anyone = seen(given.run, of_nobody(data.trigger), first.anyone)
    prompts = from_prompts(given, captions.drawn.for_others + anyone, left)
    routes.append(prompts)
    left = prompts.left()
    least = captions.limit.value
    if given.base and options.guidance:
        routes.append(from_guidance(given, left, options.guidance, least))
        left = routes[-1].left()
    balls = Balls([], {})
    if given.run.attack:
        suspects = [training[place] for place in order(scores)]
        tried = [target for target in suspects if target in left][: options.elicit]
        balls = in_balls(given, tried, least)
    return Audited(given, itself, leaky, [*routes, *balls.routes], balls.work, scores, data.trigger)
