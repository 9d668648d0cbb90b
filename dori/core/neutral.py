"""Settings of a part that change no figure: they enter no fingerprint, and no row's ``params``."""

from collections.abc import Callable
from pydoc import locate
from typing import Any, TypeVar

Part = TypeVar("Part", bound=Callable[..., Any])


def neutral(*names: str) -> Callable[[Part], Part]:
    """Marks arguments of a class or function that say how fast it is, or which rows there are."""

    def mark(part: Part) -> Part:
        setattr(part, "NEUTRAL", names)  # noqa: B010  a function has no such attribute to mypy
        return part

    return mark


def neutral_of(target: str) -> tuple[str, ...]:
    """What the class or function of a ``_target_`` was marked with."""
    return getattr(locate(target), "NEUTRAL", ())
