"""What no result decides: all of it is asked for before anything is looked at, so that a plan tells it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dori.data.collection import HELD_OUT, TRAINING, Collection
from dori.steps.run import Run
from dori.steps.subjects import Pictures, Subject
from dori.studies.audit.described import originals
from dori.studies.audit.drawn import Ask, ask, asked
from dori.studies.audit.options import Options
from dori.studies.audit.screening import screened

if TYPE_CHECKING:
    from dori.core.stages import Result


@dataclass(frozen=True)
class Beforehand:
    """Stages: descriptors of the training pictures and of the held-out ones, and, where there is a model, its
    screening and that of its base, and the outputs of the captions, and of prompts that are of no picture."""

    pictures: "Result | None"
    controls: "Result | None"
    screened: "list[Result]"
    captions: Pictures | None
    anyone: Pictures | None


def beforehand(
    run: Run, options: Options, data: Collection, model: Subject | None, base: Subject | None
) -> Beforehand:
    """Asks for them, the cheapest first."""
    training = data.of(TRAINING)
    pictures = originals(run, training, "training pictures")
    controls = originals(run, data.of(HELD_OUT), "held-out pictures")
    if model is None:
        return Beforehand(pictures, controls, [], None, None)
    scores = [screened(run, subject, training) for subject in (model, base) if subject]
    captions = asked(run, model, [ask(target) for target in training], options.seeds, of="captions")
    others = asked(run, model, of_nobody(data.trigger), options.others, of="trigger and empty prompt")
    return Beforehand(pictures, controls, scores, captions, others)


def of_nobody(trigger: str | None) -> list[Ask]:
    """The empty prompt, and the trigger."""
    texts = [text for text in dict.fromkeys(["", trigger]) if text is not None]
    return [Ask(f"prompt/{text}", "", text) for text in texts]
