"""What a constructor's or function's docstring says of its arguments: Google's ``Args:``."""

import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

_ARGUMENT = re.compile(r"(\w[\w, ]*):\s+(.*)", re.DOTALL)


@cache
def arguments(target: Callable) -> dict[str, str]:
    """Each documented argument's text; several of one line share it.

    >>> def f(low, high, n): '''Counts.
    ...
    ...     Args:
    ...         low, high: bounds.
    ...         n: how many,
    ...             at most.
    ...
    ...     Raises:
    ...         ValueError: never.
    ...     '''
    >>> arguments(f)
    {'low': 'bounds.', 'high': 'bounds.', 'n': 'how many, at most.'}
    """
    text = inspect.getdoc(target) or ""
    if inspect.isclass(target):  # the arguments may be told by a class that it is made of
        texts = (each.__doc__ or "" for each in inspect.getmro(target))
        text = "\n\n".join(map(inspect.cleandoc, (*texts, target.__init__.__doc__ or "")))
    _, _, section = text.partition("Args:\n")
    lines = section.split("\n\n")[0].splitlines()
    found: dict[str, str] = {}
    for entry in _entries(lines):
        if match := _ARGUMENT.fullmatch(entry):
            found |= {name.strip(): " ".join(match[2].split()) for name in match[1].split(",")}
    return found


def _entries(lines: list[str]) -> list[str]:
    """One string per argument; deeper lines go on with the one before."""
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    entries: list[str] = []
    for line in lines:
        if line[depth : depth + 1].strip():
            entries.append(line.strip())
        elif entries:
            entries[-1] += f" {line.strip()}"
    return entries


def defaults(target: Callable) -> dict[str, Any]:
    """The arguments that need not be given, with their defaults."""
    known = inspect.signature(target).parameters.values()
    return {p.name: p.default for p in known if p.default is not p.empty and not p.name.startswith("_")}
