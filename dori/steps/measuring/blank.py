"""Pictures that show nothing: a kind of target of which there are no others has no result."""

from dataclasses import replace

from dori.steps.measuring.features import Features
from dori.steps.subjects import Pictures


def blanks(features: Features, places: list[int] | slice = slice(None)) -> int:
    """How many pictures of the targets, or captions, at ``places`` are of one colour."""
    return int(features["blank"][places].sum())


def looked_at(pictures: Pictures, features: Features) -> Pictures:
    """The same pictures, which now know the targets of whose kind each picture is blank."""
    kinds = [target.kind for target in pictures.targets]
    shown = {kind for kind, blank in zip(kinds, features["blank"], strict=True) if not blank.all()}
    return replace(pictures, blank=frozenset(t.name for t in pictures.targets if t.kind not in shown))
