"""How far a job has come, told like a log: whoever shows it listens, and no step waits for it.

Stages are begun, advanced and ended by their labels, several at once where one computation fills several.
Work that is dealt out in chunks tells of those that are done, and of its share of the one at hand.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any


class Listener:
    """Who is told, and does nothing of what it does not say otherwise.

    Within stages that go on others may begin, and end before them.
    """

    def begun(self, labels: Sequence[str]) -> None:
        """Stages that one computation fills begin."""

    def advanced(self, share: float) -> None:
        """``share``: of what began last and goes on, between 0 and 1."""

    def ended(self, labels: Sequence[str], cached: bool) -> None:
        """They have ended; ``cached``: they were there, and never began."""

    def looked(self, line: Mapping[str, float]) -> None:
        """How a training goes: the figures of an epoch."""


_listeners: list[Listener] = []
_within: ContextVar[Callable[[float], None] | None] = ContextVar("within", default=None)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Within, the listener hears of all stages of this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def begin(labels: Sequence[str]) -> None:
    """Of a computation that fills the stages of these labels."""
    for listener in _listeners:
        listener.begun(labels)


def advance(share: float) -> None:
    """How much of what began last is done, between 0 and 1."""
    for listener in _listeners:
        listener.advanced(share)


def end(labels: Sequence[str], cached: bool) -> None:
    """``cached``: they were there, and never begun."""
    for listener in _listeners:
        listener.ended(labels, cached)


def look(line: Mapping[str, float]) -> None:
    """The figures of an epoch of a training that goes on."""
    for listener in _listeners:
        listener.looked(line)


def within(share: float) -> None:
    """How much is done of the chunk that this thread works on; nothing where it works on none."""
    if (tell := _within.get()) is not None:
        tell(share)


def counted(work: Callable[[Any], None], count: int) -> Callable[[Any], None]:
    """``work(chunk)``, of which there are ``count``, some of them at once, that tells how far all are."""
    places, shares, lock = itertools.count(), [0.0] * count, Lock()

    def told(chunk: Any) -> None:
        place = next(places)

        def tell(share: float) -> None:
            with lock:
                shares[place] = share
                advance(sum(shares) / count)

        before = _within.set(tell)
        try:
            work(chunk)
        finally:
            _within.reset(before)
        tell(1.0)

    return told
