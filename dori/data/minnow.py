"""Minnow's own pictures as targets: what it saw, how often, and what it never saw is known."""

import math

import numpy as np

from dori.core.code import code_of
from dori.core.errors import InputError
from dori.data.targets import KINDS, Data, Ordinary, Target, Training
from dori.minnow.world import population
from dori.minnow.world.population import Picture

COUNTS = {"verbatim": 64, "template": 16, "seen": 96, "unseen": 96}
CAPTIONS = 256  # for methods that compare with ordinary captions
REFERENCE = 1024  # held-out pictures for FID and KID
SEEN = 24576  # ordinary pictures that minnow was trained on; the first are the seen controls
GROUPS = {"seen": "ordinary"}  # the first ordinary pictures are the seen controls


def _targets(kind: str, count: int) -> list[Target]:
    """The first ``count`` of a kind, drawn together."""
    halves = ["held_out" if index % 2 else "development" for index in range(count)]
    names = [f"{kind}/{index:03d}" for index in range(count)]
    if kind != "template":
        pictures = population.pictures(GROUPS.get(kind, kind), count)
        rows = zip(names, pictures, population.pixels(pictures), halves, strict=True)
        return [Target(name, p.caption, kind, pixels.numpy(), half=half) for name, p, pixels, half in rows]
    members = population.pictures(kind, count * population.MEMBERS)
    drawn = population.pixels(members).unflatten(0, (count, population.MEMBERS)).numpy()
    # the middle member stands for its family; which one makes no difference, each was seen as often
    which = population.MEMBERS // 2
    found = []
    for name, family, half, first in zip(
        names, drawn, halves, members[which :: population.MEMBERS], strict=True
    ):
        others = tuple(np.delete(family, which, axis=0))
        found.append(Target(name, first.caption, kind, family[which], others, first.changing(), half))
    return found


def _drawn(pictures: list[Picture]) -> Ordinary:
    return Ordinary([p.caption for p in pictures], list(population.pixels(pictures).numpy()))


def _count(kind: str, targets: int | str) -> int:
    if targets == "all":
        return COUNTS[kind]
    wanted = int(targets) if kind == "verbatim" else math.ceil(int(targets) / 2)
    return min(wanted, COUNTS[kind])


def _training(count: int) -> Training:
    """Ordinary pictures that minnow saw, those after the seen controls, drawn again."""
    first = COUNTS["seen"]

    def pairs() -> Ordinary:
        return _drawn([population.picture("ordinary", index) for index in range(first, first + count)])

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
    chosen = [target for kind in KINDS for target in _targets(kind, _count(kind, targets))]
    reference = _drawn(population.pictures("reference", ordinary))
    return Data(chosen, reference, population.captions("calibration", CAPTIONS), _training(training))
