"""How far a job has come, told like a log: whoever shows it listens, and nobody waits for it.

A stage is begun, advanced and ended under its label. Work that is inside one chunk (the steps of an attack)
tells its share of the chunk.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Cost:
    """Samples through the denoiser that a stage takes, forward alone, and forward and backward."""

    forward: int = 0
    gradient: int = 0

    @property
    def weight(self) -> int:
        """In forward passes; a gradient with respect to the embedding costs as much as two more."""
        return self.forward + 3 * self.gradient

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.forward + other.forward, self.gradient + other.gradient)


class Listener(Protocol):
    def begun(self, label: str) -> None: ...

    def advanced(self, label: str, share: float) -> None: ...

    def ended(self, label: str, cached: bool) -> None: ...


@dataclass
class _Told:
    """Who listens, and how much of the stage that goes on is done; ``lock``: chunks are in threads."""

    listeners: list[Listener] = field(default_factory=list)
    label: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


_told = _Told()


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Within, the listener hears of all stages."""
    _told.listeners.append(listener)
    try:
        yield
    finally:
        _told.listeners.remove(listener)


def begin(label: str) -> None:
    _told.label = label
    for listener in _told.listeners:
        listener.begun(label)


def advance(share: float) -> None:
    """``share``: of the stage that goes on, between 0 and 1."""
    with _told.lock:
        for listener in _told.listeners:
            listener.advanced(_told.label, share)


def end(label: str, cached: bool) -> None:
    for listener in _told.listeners:
        listener.ended(label, cached)
