"""Minnow's own pictures as targets: what it saw, how often, and what it never saw is known."""

import math

from dori.core.code import code_of
from dori.core.errors import InputError
from dori.data.targets import KINDS, Data, Ordinary, Target, Training
from dori.minnow import population

COUNTS = {"verbatim": 32, "template": 8, "seen": 48, "unseen": 48}
CAPTIONS = 256  # for methods that compare with ordinary captions
REFERENCE = 1024  # held-out pictures for FID and KID
SEEN = 12288  # ordinary pictures that minnow was trained on; the first are the seen controls
GROUPS = {"seen": "ordinary"}  # the first ordinary pictures are the seen controls


def _target(kind: str, index: int) -> Target:
    half = "held_out" if index % 2 else "development"
    name = f"{kind}/{index:03d}"
    if kind != "template":
        picture = population.picture(GROUPS.get(kind, kind), index)
        return Target(name, picture.caption, kind, picture.pixels(), half=half)
    members = [population.picture(kind, index * population.MEMBERS + i) for i in range(population.MEMBERS)]
    # the middle member stands for its family; which one makes no difference, each was seen as often
    first, *others = members[population.MEMBERS // 2 :] + members[: population.MEMBERS // 2]
    family = tuple(member.pixels() for member in others)
    return Target(name, first.caption, kind, first.pixels(), family, first.changing(), half)


def _count(kind: str, targets: int | str) -> int:
    if targets == "all":
        return COUNTS[kind]
    wanted = int(targets) if kind == "verbatim" else math.ceil(int(targets) / 2)
    return min(wanted, COUNTS[kind])


def _training(count: int) -> Training:
    """Ordinary pictures that minnow saw, those after the seen controls, drawn again."""
    first = COUNTS["seen"]

    def pairs() -> Ordinary:
        pictures = [population.picture("ordinary", index) for index in range(first, first + count)]
        return Ordinary([p.caption for p in pictures], [p.pixels() for p in pictures])

    return Training(pairs, count, ["minnow", first, count, code_of(__name__)])


def minnow(targets: int | str, ordinary: int | None = None, training: int = 1024) -> Data:
    """``targets`` verbatim pictures, half as many of the other kinds; ``all``: every one there is.

    The default of ``ordinary`` is 1,024, on which FID can be claimed, with ``all``; otherwise 128.
    ``training``: ordinary pictures that minnow saw, for a defense to train with; seen controls are none.

    Raises:
        InputError: a count that minnow does not have.
    """
    if targets != "all" and not (isinstance(targets, int) and 1 <= targets <= COUNTS["verbatim"]):
        raise InputError(f"data.targets must be 1 to {COUNTS['verbatim']}, or all, but is {targets!r}")
    if ordinary is None:
        ordinary = REFERENCE if targets == "all" else 128
    if not 0 <= ordinary <= REFERENCE:
        raise InputError(f"data.ordinary must be 0 to {REFERENCE} for minnow, but is {ordinary}")
    if not 1 <= training <= SEEN - COUNTS["seen"]:
        raise InputError(f"data.training must be 1 to {SEEN - COUNTS['seen']} for minnow, but is {training}")
    chosen = [_target(kind, index) for kind in KINDS for index in range(_count(kind, targets))]
    reference = [population.picture("reference", index) for index in range(ordinary)]
    ordinary_pictures = Ordinary([p.caption for p in reference], [p.pixels() for p in reference])
    captions = population.captions("calibration", CAPTIONS)
    return Data(chosen, ordinary_pictures, captions, _training(training))
