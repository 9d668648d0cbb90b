"""What to do about it: only what the result bears out."""

from collections.abc import Mapping
from typing import Any

MANY = 3  # times the share of others, from which on duplicates are worth naming


def advice(told: Mapping[str, Any]) -> list[str]:
    """Sentences; ``told``: ``audit.json`` without them."""
    pictures, n = told["pictures"], told["training"]["pictures"]
    copied = [p for p in pictures if p["verdict"] in ("caption", "prompt", "output", "elicited")]
    found = []
    doubled = [p for p in copied if p["duplicates"]]
    if doubled:
        found.append(
            f"{len(doubled)} of the copied pictures have near-duplicates in the training set, a known cause:"
            f" keep one of each, e.g. of {doubled[0]['name']} and {doubled[0]['duplicates'][0]}."
        )
    by_words = [p for p in copied if p["verdict"] in ("caption", "prompt")]
    if by_words:
        found.append(
            f"{len(by_words)} of them take words alone: do not release this checkpoint as it is; audit"
            " earlier ones (`-m model.path=checkpoint-500,checkpoint-1000`), or train for fewer steps."
        )
    unique = [p for p in by_words if p["caption_is_unique"]]
    if len(unique) > n // 100 and len(unique) == len(by_words) < n:
        found.append(
            "All of these have a caption that no other picture has: captions that several pictures share, or"
            " that training drops at random, give fewer keys to a memory."
        )
    if by_words and told["mode"] == "model":
        found.append(
            "A mitigation may hide them, and an attack may bring them back: `dori` with these pictures as"
            " targets measures both."
        )
    if hubs := [hub for hub in told["hubs"] if hub["outputs"] > max(10, 0.1 * hub["of"])]:
        of_others = " of other prompts" if told["mode"] == "model" else ""
        found.append(
            f"{hubs[0]['name']} is the nearest picture to {hubs[0]['outputs']:,} outputs{of_others}: look"
            " whether it stands for its whole kind, or is shown too often."
        )
    only = [p for p in copied if p["verdict"] == "elicited"]
    if only and not by_words:
        found.append(
            "No words were found that bring them back, but whoever has the weights can: publish them only if"
            " that may happen."
        )
    if not told["held_out"]["pictures"] and told["mode"] == "model":
        found.append(
            "Hold out some pictures of the same kind before the next training: with them the rate of false"
            " alarms is known."
        )
    return found
