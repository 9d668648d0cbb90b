"""What judged, in words: the network, the thresholds, and how often they are wrong."""

from collections.abc import Mapping
from typing import Any


def sentences(told: Mapping[str, Any]) -> list[str]:
    """The thresholds' rates of false alarms, by words and by elicitation, and the network; ``told``:
    ``audit.json``."""
    own = of_words(told["routes"], told["mode"])
    return [said for said in (own, of_elicitation(told["routes"]), judged_by(told["judge"])) if said]


def judged_by(judge: Mapping[str, str]) -> str:
    """
    >>> judged_by({"name": "sscd_disc_mixup-int8@320", "weights": "sscd.onnx 86386042"})
    'Judged by sscd_disc_mixup-int8@320 (sscd.onnx 86386042).'
    """
    return f"Judged by {judge['name']}" + (f" ({judge['weights']})." if judge["weights"] else ".")


def of_elicitation(routes: list[Mapping[str, Any]]) -> str:
    """The rates of what takes more than words, which rest on controls of their own; nothing without any."""
    found = {}  # the balls have the same controls
    for route in routes:
        who = "guidance from the base" if route["name"] == "guidance" else "DoRI"
        if route["name"] not in ("caption", "prompt", "output") and route["threshold"]["n"]:
            found[who] = route["threshold"]
    if not found:
        return ""
    parts = [f"{_share(limit)} by {who}, with {limit['n']:,} controls" for who, limit in found.items()]
    return f"What comes only by elicitation has rates of its own: {'; '.join(parts)}."


def _share(limit: Mapping[str, Any]) -> str:
    borne, low, high = (f"{100 * limit[name]:.1f} %" for name in ("borne", "low", "high"))
    return f"{borne} (95 %: {low} to {high})"


def of_words(routes: list[Mapping[str, Any]], mode: str) -> str:
    """What the first way's threshold rests on and cannot bear, and the rate that other prompts have."""
    limit = routes[0]["threshold"]
    value = f"{limit['value']:.2f}"
    if limit["source"] == "published":
        return (
            f"Nothing is held out{' and there is no base' if mode == 'model' else ''}: {value} decides, the"
            " threshold published for SSCD, and how often it is wrong on pictures such as these is unknown."
        )
    what = (
        f"{limit['n']:,} held-out pictures" if limit["source"] == "held_out"
        else f"what the base makes of {limit['n']:,} of the same prompts, which it never learned"
    )  # fmt: skip
    way = "by their captions" if mode == "model" else "by these outputs"
    way += "".join(
        f", and {100 * route['threshold']['borne']:.1f} % above that of other prompts by these"
        for route in routes if route["name"] == "prompt" and route["threshold"]["n"]
    )  # fmt: skip
    said = (
        f"A copy is what is more similar than {value}, by {what}: {_share(limit)} of pictures that were not"
        f" trained on would be above it {way}."
    )
    if limit["borne"] > limit["rate"] * 1.0001:
        said += f" They are too few for the rate of {100 * limit['rate']:.1f} % that was asked for."
    if limit["source"] == "base":
        said += (
            " What a model learned of a subject in general looks like memory beside a base that never met it:"
            " held-out pictures of the same kind would tell (data.heldout)."
        )
    return said
