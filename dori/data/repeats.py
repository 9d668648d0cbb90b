"""One picture counts once, and as one thing: what two rows of a user's tables may not both say."""

import logging

from dori.core.errors import InputError
from dori.data.pictures import digest
from dori.data.targets import MEMORIZED, Ordinary, Target

log = logging.getLogger(__name__)


def check_repeats(targets: list[Target]) -> None:
    """Warns of pictures and prompts that are there twice, which the intervals take for independent.

    Raises:
        InputError: a picture of two kinds; a prompt that is memorized and a control's; a row twice.
    """
    pictures: dict[str, Target] = {}
    prompts: dict[str, Target] = {}
    rows: dict[tuple[str, str], Target] = {}
    repeated = []
    for target in targets:
        picture, prompt = digest(target.image), target.prompt.strip()
        row = rows.setdefault((picture, prompt), target)
        like, said = pictures.setdefault(picture, target), prompts.setdefault(prompt, target)
        if like.kind != target.kind:
            raise InputError(
                f"{target.source} has the picture of {like.source}, but calls it {target.kind} and not"
                f" {like.kind}: leave one of the two out"
            )
        if (said.kind in MEMORIZED) != (target.kind in MEMORIZED):
            raise InputError(
                f"{target.source} has the prompt of {said.source}, but one is {said.kind}, the other"
                f" {target.kind}: a control needs a prompt of its own"
            )
        if row is not target:
            raise InputError(f"{target.source} repeats {row.source}: leave one of the two out")
        if like is not target or said is not target:
            repeated.append(target.source)
    if repeated:
        log.warning(
            "%d targets share a picture or a prompt with an earlier one (%s): intervals count each as one of"
            " its own", len(repeated), repeated[0],
        )  # fmt: skip


def check_apart(training: Ordinary, measured: Ordinary) -> None:
    """A defense sees to it itself that it trains on no memorized image.

    Raises:
        InputError: a training picture is one on which quality is measured.
    """
    known = {digest(image): i for i, image in enumerate(measured.images)}
    for image, source in zip(training.images, training.sources, strict=True):
        if (place := known.get(digest(image))) is not None:
            raise InputError(
                f"{source} has the picture of {measured.sources[place]}, on which quality is measured:"
                " train on other ones"
            )
