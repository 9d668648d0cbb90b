"""How an audit goes about it: the settings of ``conf/study/audit.yaml``, refused where they cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass

from dori.core.errors import InputError, check_share


@dataclass(frozen=True)
class Options:
    """
    Args:
        rate: of false positives, at which held-out pictures would count as copied.
        fdr: the share of false ones among what is called a copy.
        seeds: outputs of each caption.
        rewordings: of each caption, one output each.
        swapped: share of a caption's words that a rewording swaps or drops.
        others: outputs of the empty prompt, and of the trigger.
        guidance: from the base to the model, see ``dori.studies.audit.guidance``; null: none.
        elicit: pictures that are attacked, at most, the most suspect first.
        controls: held-out pictures under guidance, at most.
        controls_attacked: held-out pictures that are attacked beside them, at most.
        balls: sizes of the ball that DoRI may move the embedding in, one after the other.
        images: outputs of each embedding that DoRI finds.
    """

    rate: float = 0.01
    fdr: float = 0.05
    seeds: int = 4
    rewordings: int = 1
    swapped: float = 0.1
    others: int = 16
    guidance: float | None = 3.0
    elicit: int = 12
    controls: int = 32
    controls_attacked: int = 16
    balls: Sequence[float] = (0.1, 0.4)
    images: int = 2

    def __post_init__(self) -> None:
        for name in ("rate", "fdr", "swapped"):
            check_share(f"study.{name}", getattr(self, name))
        least = {
            "seeds": 1,
            "others": 1,
            "images": 1,
            "rewordings": 0,
            "elicit": 0,
            "controls": 0,
            "controls_attacked": 0,
        }
        for name, low in least.items():
            if not isinstance(value := getattr(self, name), int) or value < low:
                raise InputError(f"study.{name} must be a whole number, {low} or more, but is {value}")
        if any(not size > 0 for size in self.balls) or list(self.balls) != sorted({*self.balls}):
            raise InputError(f"study.balls must be rising sizes above zero, but is {list(self.balls)}")
