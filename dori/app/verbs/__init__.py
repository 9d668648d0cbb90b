"""What ``dori`` answers before and after the long work: ``dori VERB …``."""

from collections.abc import Callable
from functools import partial
from importlib import import_module

from dori.core.errors import unknown

Command = Callable[[list[str]], int]
# the module of this folder whose ``command`` each is, in the order of ``dori --help``
VERBS = {
    "list": "listing", "show": "showing", "check": "checking", "plan": "planning", "status": "status",
    "compare": "compare", "cache": "cache", "merge": "merging", "data": "data",
}  # fmt: skip


def verb(arguments: list[str]) -> Command | None:
    """The command that the first word names, imported; None where it is a flag or an override.

    Raises:
        InputError: a word that is neither, with the nearest verb.
    """
    first = arguments[0] if arguments else "-"
    if first.startswith(("-", "+", "~")) or "=" in first:
        return None
    if first not in VERBS:
        raise unknown("command", first, list(VERBS))
    module = import_module(f"dori.app.verbs.{VERBS[first]}")
    if {"-h", "--help"} & set(arguments) and not hasattr(module, "ArgumentParser"):  # which helps itself
        return partial(_tell, str(module.__doc__))
    return module.command


def _tell(text: str, arguments: list[str]) -> int:
    print(text.replace("``", ""))
    return 0
