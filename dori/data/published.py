"""Published sets of prompts that a model memorized, with the pictures of them that are at hand."""

import logging
from pathlib import Path

from dori.core.errors import InputError, unknown
from dori.core.neutral import neutral
from dori.data.folder import training_of
from dori.data.hand import CONTROLS, MEMORIZED, ORDINARY, Hand, apart, hold, rows_of
from dori.data.listing import Entry, Listing
from dori.data.naming import find
from dori.data.pictures import read_mask, read_picture
from dori.data.repeats import check_repeats
from dori.data.targets import Data, Ordinary, Target, check_count, first_of_each

log = logging.getLogger(__name__)
REFUSE, SKIP = "refuse", "skip"
SHOWN = 3  # pictures that are not at hand


@neutral("images", "masks", "missing", "folder")
def published(
    name: str,
    memorized: Listing | None = None,
    controls: Listing | None = None,
    ordinary: Listing | None = None,
    targets: int | str = "all",
    captions: int = 1000,
    images: str | None = None,
    masks: str | None = None,
    missing: str = REFUSE,
    training: str | None = None,
    folder: str = "~/.cache/dori/published",
) -> Data:
    """Targets and captions of published lists. Nothing is fetched here: that is ``dori data fetch``.

    Args:
        name: of the set.
        memorized: what a model memorized.
        controls: what it did not.
        ordinary: captions for methods that compare with some, and for quality.
        targets: at most so many of each kind, or ``all``.
        captions: so many of ``ordinary``, the first, measure quality.
        images: a folder of pictures that you have, or the one above folders ``memorized``, ``controls`` and
            ``ordinary``; what it lacks is looked for among those that ``dori data fetch`` got.
        masks: a folder of masks, called as the pictures are: white where a template's copies differ.
        missing: ``refuse`` where pictures are not at hand, or ``skip`` their rows.
        training: table of captions and images such as the model was trained on, for a defense to train with.
        folder: of fetched lists and pictures.

    Raises:
        InputError: lists or pictures that are not at hand, broken rows, masks that do not fit.
    """
    check_count(targets)
    if missing not in (REFUSE, SKIP):
        raise unknown("data.missing", missing, (REFUSE, SKIP))
    own, kept = Path(images).expanduser() if images else None, Path(folder).expanduser()
    listed = {label: each for label, each in ((MEMORIZED, memorized), (CONTROLS, controls)) if each}
    hands = apart([hold(label, each, own, kept, name) for label, each in listed.items()])
    chosen = [(hand, row) for hand in hands for row in first_of_each(_usable(hand, missing, name), targets)]
    quality, others = Ordinary([]), list[str]()
    if ordinary:
        others = [entry.prompt for entry in rows_of(ORDINARY, ordinary, kept, name)]
        quality = _ordinary(hold(ORDINARY, ordinary, own, kept, name, captions), missing, name)
    _check(chosen, name)
    found = _targets(chosen, Path(masks).expanduser() if masks else None)
    check_repeats(found)
    return Data(found, quality, others, training_of(Path(training), quality) if training else None)


def _usable(hand: Hand, missing: str, name: str) -> list[Entry]:
    """The rows of which pictures are at hand, where others are to be skipped; else all."""
    there = [entry for entry in hand.entries if hand.has(entry)]
    if missing == REFUSE or len(there) == len(hand.entries):
        return hand.entries
    if not there:
        raise InputError(f"data={name}: no picture of the {hand.label} rows is at hand: {_help(name)}")
    log.warning(
        "data=%s: pictures of %d of %d %s rows are at hand; the others are left out",
        name, len(there), len(hand.entries), hand.label,
    )  # fmt: skip
    return there


def _check(rows: list[tuple[Hand, Entry]], name: str) -> None:
    """Raises InputError where a picture is not at hand."""
    gone = [(hand, entry) for hand, entry in rows if not hand.has(entry)]
    if gone:
        told = [f"{entry.source}: {hand.why.get(entry.place, 'not there')}" for hand, entry in gone[:SHOWN]]
        raise InputError(
            f"data={name}: {len(gone)} of {len(rows)} pictures are not at hand ({'; '.join(told)}):"
            f" {_help(name)}, or leave their rows out with data.missing=skip"
        )


def _help(name: str) -> str:
    return f"run dori data fetch {name}, or name a folder that has them with data.images="


def _targets(rows: list[tuple[Hand, Entry]], masks: Path | None) -> list[Target]:
    templates = [entry for _, entry in rows if entry.kind == "template"]
    own = find(templates, masks).files if masks else {}
    if masks and not own:
        raise InputError(f"{masks} has no mask of these templates: call masks as the pictures are called")
    found = []
    for hand, entry in rows:
        picture, mask, changing = hand.files[entry.place], entry.mask, None
        if entry.kind == "template":
            mask = own.get(entry.place, mask)
        if mask:
            changing = read_mask(mask, read_picture(picture).shape[:2])
        half, name = "held_out" if entry.place % 2 else "development", f"{entry.kind}/{entry.place:04d}"
        found.append(Target(name, entry.prompt, entry.kind, picture, (), changing, half, source=entry.source))
    return found


def _ordinary(hand: Hand, missing: str, name: str) -> Ordinary:
    """Captions; with pictures where the list, or somebody's folder, has some."""
    if not hand.files and not any(entry.address for entry in hand.entries):
        return Ordinary([e.prompt for e in hand.entries], [], [e.source for e in hand.entries])
    rows = _usable(hand, missing, name)
    _check([(hand, entry) for entry in rows], name)
    pictures: list = [hand.files[entry.place] for entry in rows]
    return Ordinary([entry.prompt for entry in rows], pictures, [entry.source for entry in rows])
