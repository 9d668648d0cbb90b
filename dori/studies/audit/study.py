"""The audit: which training pictures can be got out of a model, how easily, and out of its base as well?"""

from dataclasses import dataclass

import pandas as pd

from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.data.collection import HELD_OUT, TRAINING, Collection
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from dori.steps.subjects import Subject
from dori.studies.audit.alone import Alone, alone, apart
from dori.studies.audit.checkpoints import findings
from dori.studies.audit.drawn import Drawn, nearest, of_files, originals
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
        given, itself, leaky = prepared(run, self)
        data = run.data
        assert isinstance(data, Collection)
        if data.generated:
            found = Audited(given, itself, leaky, [among_outputs(given, of_files(run, data.generated))])
        else:
            found = of_model(given, itself, leaky, data)
        told = record(found)
        return Outcome(rows_of(given, told), pd.DataFrame(), pages=Pages(told, self.thumbnails))


def prepared(run: Run, options: Options) -> tuple[Material, Alone, list[str]]:
    """The pictures, described, and what the training set says by itself; and the names of held-out pictures
    that are left out, because the training set has nearly the same."""
    data = run.data
    if not isinstance(data, Collection):
        raise InputError("study=audit looks at a folder of pictures: set data=collection data.path=...")
    training, held_out = data.of(TRAINING), data.of(HELD_OUT)
    pictures = originals(run, training, "training pictures")
    controls = originals(run, held_out, "held-out pictures")
    kept = apart(controls, pictures, run.evaluation.made.threshold)
    leaky = [target.name for target, good in zip(held_out, kept, strict=True) if not good]
    held_out = [target for target, good in zip(held_out, kept, strict=True) if good]
    itself = alone(training, pictures, run.evaluation.made.threshold)
    model = base = None
    if not data.generated:
        model, twin = run.original, run.diffusion.twin
        base = Subject("base", twin) if twin else None
    return Material(run, options, model, base, training, held_out, pictures, controls[kept]), itself, leaky


def among_outputs(given: Material, drawn: Drawn) -> Route:
    """Somebody's outputs: of every picture the nearest; held-out pictures are compared with the same ones."""
    best = nearest(given.pictures, [target.name for target in given.training], drawn)
    null = nearest(given.controls, [target.name for target in given.held_out], drawn)
    return judged(given, "output", given.training, best, drawn, null.similarity)


def of_model(given: Material, itself: Alone, leaky: list[str], data: Collection) -> Audited:
    """Everything that takes the model."""
    options, training = given.options, given.training
    assert given.model is not None
    scores = screen(given.run, given.model, given.base, training)
    captions = from_captions(given, data.share)
    routes, left = [captions], captions.left()
    prompts = from_prompts(given, captions.drawn, left, data.trigger)
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
