"""The errors that a user is meant to see: what is wrong, the value, and what to do."""

import difflib
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class InputError(ValueError):
    """Bad input, found before any long work. ``dori`` prints its text alone and exits with 2."""

    problems: list[str] | None = None  # where it tells several


class Failure(RuntimeError):
    """What ends a run whose input is right: a full disk. ``dori`` prints its text alone and exits with 1."""


class Problems:
    """What is wrong, collected, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def none_or(self, make: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        """What ``make`` returns; None, and a problem more, where it raises InputError."""
        try:
            return make(*arguments, **named)
        except InputError as error:
            self.found += error.problems or [str(error)]
            return None

    def tell(self) -> None:
        """Raises InputError where anything is wrong."""
        if len(self.found) > 1:
            error = InputError(f"{len(self.found)} things are wrong:\n  " + "\n  ".join(self.found))
            error.problems = self.found
            raise error
        if self.found:
            raise InputError(*self.found)


def unknown(what: str, value: str, known: Iterable[str]) -> InputError:
    """An :class:`InputError` for a name that does not exist, with the nearest one that does."""
    known = sorted(known)
    near = difflib.get_close_matches(value, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {what} {value!r}; {hint}")


def check_positive(name: str, value: float) -> None:
    """Raises InputError where a setting is not above zero."""
    if not value > 0:
        raise InputError(f"{name} must be above zero, but is {value}")


def check_share(name: str, value: float) -> None:
    """Raises InputError where a setting is not above zero and at most one."""
    if not 0 < value <= 1:
        raise InputError(f"{name} must lie between 0 and 1, but is {value}")
