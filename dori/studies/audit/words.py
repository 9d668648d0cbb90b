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
CHANCE = 0.05  # the p from which on so many copies are no more than false positives


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
        return f"No training picture comes {where} that its base would not give: {both} come out of both."
    if not copied:
        found = "was found in the outputs"
        said = found if told["mode"] == "outputs" else "came out of the model up to this budget"
        return f"None of {n:,} training pictures {said}; that is no proof that none is stored."
    if told["mode"] == "outputs":
        return f"{copied:,} of {n:,} training pictures {_are(copied)} copied in the outputs{_chance(told)}."
    ways = [
        f"{counts[name]:,} {words}"
        for name, words in {
            "caption": "from their own caption", "prompt": "from another prompt",
            "elicited": "only by elicitation",
        }.items() if counts[name]
    ]  # fmt: skip
    return (
        f"{copied:,} of {n:,} training pictures can be got out of the model: {', '.join(ways)}"
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


def of_threshold(limit: Mapping[str, Any]) -> str:
    """What a threshold rests on, and what it cannot bear."""
    value = f"{limit['value']:.2f}"
    if limit["source"] == "published":
        return (
            f"Nothing is held out and there is no base: the published threshold of {value} decides, and at"
            " which rate it is wrong on pictures such as these is unknown."
        )
    what = (
        f"{limit['n']:,} held-out pictures" if limit["source"] == "held_out"
        else f"what the base makes of {limit['n']:,} of the same prompts, which it never learned"
    )  # fmt: skip
    said = (
        f"A copy is what is more similar than {value}, by {what}: {limit['borne']:.1%} of pictures that were"
        f" not trained on would be called copies (95 %: {limit['low']:.1%} to {limit['high']:.1%})."
    )
    if limit["borne"] > limit["rate"] * 1.0001:
        said += f" They are too few for the rate of {limit['rate']:.1%} that was asked for."
    if limit["source"] == "base":
        said += (
            " What a model learned of a subject in general looks like memory beside a base that never met it:"
            " held-out pictures of the same kind would tell (data.heldout)."
        )
    return said
