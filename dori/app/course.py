"""The course of a job: which stages there are to be, how far it has come, and how long the rest takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from dori.core.progress import Listener


@dataclass
class Stage:
    """``weight``: what it costs, in forward passes of the denoiser; 0 for what costs next to nothing.

    ``seconds`` are its part of what one computation took that fills as many stages ``together``.
    """

    weight: float = 0
    state: Literal["waiting", "running", "done", "cached"] = "waiting"
    share: float = 0
    began: float = 0
    together: int = 1
    seconds: float = 0

    @property
    def took(self) -> float:
        """Its part of the time until now."""
        return (time.monotonic() - self.began) / self.together if self.state == "running" else self.seconds


@dataclass(frozen=True)
class Foretold:
    """The weight of each stage, by its label, in their order; ``whole``: no other one costs much."""

    weights: dict[str, float]
    whole: bool = True


class Course(Listener):
    """Listens to the stages, beside what was planned of them.

    Args:
        plan: asked for when the first stage begins, so that a job with everything in the cache makes no plan.
    """

    def __init__(self, plan: Callable[[], Foretold] | None = None):
        self.plan, self.stages, self.whole = plan, dict[str, Stage](), True
        self.open: list[Sequence[str]] = []

    def begun(self, labels: Sequence[str]) -> None:
        for label in labels:  # before what is planned, where it is no part of that
            self.stages.setdefault(label, Stage())
        if self.plan:
            foretold, self.plan = self.plan(), None
            self.whole = foretold.whole
            for label, weight in foretold.weights.items():
                self.stages.setdefault(label, Stage()).weight = weight
        self.open.append(labels)
        now = time.monotonic()
        for label in labels:
            stage = self.stages[label]
            stage.state, stage.began, stage.together = "running", now, len(labels)

    def advanced(self, share: float) -> None:
        for label in self._last:
            self.stages[label].share = share

    def ended(self, labels: Sequence[str], cached: bool) -> None:
        for label in labels:
            stage = self.stages.setdefault(label, Stage())
            stage.seconds = 0 if cached else stage.took
            stage.share, stage.state = 1, "cached" if cached else "done"
        if not cached:
            self.open.remove(labels)

    @property
    def now(self) -> str:
        """The stage that began last and goes on."""
        return ", ".join(self._last) or "between two stages"

    @property
    def share_of_stage(self) -> float:
        """How much of the stage is done, 0 to 1."""
        return max((self.stages[label].share for label in self._last), default=0)

    @property
    def share(self) -> float | None:
        """Of what is to be computed, by its cost; of the stages' number where no cost is known.

        None where more is to come than can be foretold.
        """
        if not self.whole:
            return None
        wanted = self._computed
        whole = sum(stage.weight for stage in wanted)
        if not whole:
            return sum(stage.share for stage in wanted) / len(wanted) if wanted else 0
        return sum(stage.weight * stage.share for stage in wanted) / whole

    @property
    def left(self) -> float | None:
        """Seconds that what is foretold still takes, at the pace of what was computed.

        None as long as there is no pace, and once only what has no known cost is left.
        """
        wanted = [stage for stage in self._computed if stage.weight]
        done = sum(stage.weight * stage.share for stage in wanted)
        took = sum(stage.took for stage in wanted)
        rest = sum(stage.weight * (1 - stage.share) for stage in wanted)
        return rest * took / done if rest and done and took else None

    @property
    def said(self) -> str:
        """How much is done and left of the whole job, in words; nothing where nobody knows."""
        share = "" if self.share is None else f"{self.share:.0%}"
        least = "about" if self.whole else "at least"
        left = "" if self.left is None else f"{least} {duration(self.left)} left"
        return ", ".join(part for part in (share, left) if part)

    # other threads show it while it changes: each looks at a copy

    @property
    def _computed(self) -> list[Stage]:
        return [stage for stage in list(self.stages.values()) if stage.state != "cached"]

    @property
    def _last(self) -> Sequence[str]:
        """The labels of the stages that began last and go on."""
        last = self.open[-1:]
        return last[0] if last else ()


def duration(seconds: float) -> str:
    """How one says it.

    >>> duration(40), duration(130), duration(7000), duration(200_000)
    ('40 s', '2 min', '1 h 56 min', '2 d 7 h')
    """
    minutes, hours, days = int(seconds / 60), int(seconds / 3600), int(seconds / 86_400)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
