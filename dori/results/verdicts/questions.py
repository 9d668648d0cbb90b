"""What a verdict asks, each question with its figures and its answer; and the verdict itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from dori.results.reading.answers import ABOVE, UNDECIDED, WITHIN, Answer, answer
from dori.results.reading.block import Block
from dori.results.reading.estimate import MISSING, Estimate, number, with_interval

PAGE = "docs/statistics.md"  # what the answers mean


@dataclass(frozen=True)
class Question:
    """Whether something lies above something else: a rate to show beside, and the difference."""

    asked: str
    rate: Estimate | None
    difference: Estimate | None
    margin: float

    @property
    def answer(self) -> Answer:
        """Out of the difference and its margin."""
        return answer(self.difference, self.margin)

    @property
    def told(self) -> str:
        """The answer in words."""
        return {ABOVE: "yes", WITHIN: f"no, by less than {self.margin:g}", UNDECIDED: "undecided"}[
            self.answer
        ]


def asked(questions: Sequence[Question], rate: str = "MR") -> Block | None:
    """The questions with their figures and answers, as a small table."""
    lines = tuple(
        (
            each.asked, with_interval(each.rate),
            number(each.rate.n, 0) if each.rate and each.rate.n else MISSING,
            with_interval(each.difference), each.told if each.difference else "not asked",
        )
        for each in questions
    )  # fmt: skip
    columns = ("question", f"{rate} [95 %]", "n", "difference [95 %]", "answer")
    return Block("What it rests on", columns, lines, 1) if lines else None


@dataclass(frozen=True)
class Verdict:
    """``code`` names the case for scripts, ``headline`` for people; ``text`` says what it means.

    ``figures``: the questions that it rests on; ``notes`` say what limits it.
    """

    code: str
    headline: str
    text: str
    notes: tuple[str, ...] = ()
    figures: Block | None = None

    def __str__(self) -> str:
        return " ".join([f"{self.headline}.", self.text, *self.notes])


def cite(figure: Estimate) -> str:
    """``0.71 [0.56, 0.83] (n = 48)``."""
    return with_interval(figure) + (f" (n = {figure.n:,})" if figure.n is not None else "")
