"""What an audit says, in words: the answer in one sentence, and what each verdict means."""

from collections.abc import Mapping
from typing import Any

VERDICTS = {
    "caption": "copied from its caption",
    "prompt": "copied from another prompt",
    "output": "copied in the outputs",
    "elicited": "only by elicitation",
    "base_too": "the base gives it, too",
    "not_recovered": "not recovered up to this budget",
}
ROUTES = {
    "caption": "own caption",
    "prompt": "other prompts",
    "output": "the outputs",
    "guidance": "guidance from the base",
}
NOT_THERE = "not found in the outputs"
CHANCE = 0.05  # the p from which on so many copies are no more than false positives


def verdicts(told: Mapping[str, Any]) -> dict[str, str]:
    """What each verdict is called; ``told``: ``audit.json``."""
    return VERDICTS | ({"not_recovered": NOT_THERE} if told["mode"] == "outputs" else {})


def route_name(name: str) -> str:
    """
    >>> route_name("ball 0.4")
    'DoRI within a ball of 0.4'
    """
    return ROUTES.get(name) or f"DoRI within a ball of {name.removeprefix('ball ')}"


def sentence(told: Mapping[str, Any]) -> str:
    """The answer. ``told``: ``audit.json`` without it."""
    counts, n = {name: each["count"] for name, each in told["counts"].items()}, told["training"]["pictures"]
    copied, where = counts["copied"], "in the outputs" if told["mode"] == "outputs" else "out of the model"
    if not copied and counts["base_too"]:
        both = counts["base_too"]
        return f"No audited picture comes {where} that its base would not give: {both} come out of both."
    if not copied:
        found = "was found in the outputs"
        said = found if told["mode"] == "outputs" else "came out of the model up to this budget"
        return f"None of {n:,} audited pictures {said}; that is no proof that none is stored."
    if told["mode"] == "outputs":
        return f"{copied:,} of {n:,} audited pictures {_are(copied)} copied in the outputs{_chance(told)}."
    ways = [
        f"{counts[name]:,} {words}"
        for name, words in {
            "caption": "from their own caption", "prompt": "from another prompt",
            "elicited": "only by elicitation",
        }.items() if counts[name]
    ]  # fmt: skip
    return (
        f"{copied:,} of {n:,} audited pictures can be got out of the model: {', '.join(ways)}"
        f"{_base(told)}{_chance(told)}."
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _base(told: Mapping[str, Any]) -> str:
    if told["base"] is None:
        return "; without its base nobody can say which of them it would have given before"
    both = told["counts"]["base_too"]["count"]
    return f"; {both} more come out of the base, too" if both else "; the base gives none of them"


def _chance(told: Mapping[str, Any]) -> str:
    chance = told["by_chance"]
    if chance is None or chance["p"] <= CHANCE or not chance["copied"]:
        return ""
    return f" (no more than chance: {chance['expected']:.1f} are expected where nothing is stored)"
