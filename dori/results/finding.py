"""What a study has to show beside the rows: a verdict, a figure and tables of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dori.results.reading.block import Block
from dori.results.verdicts.questions import Verdict


@dataclass(frozen=True)
class Finding:
    """One part of a report, told from the rows alone: a job's report and a multirun's show the same.

    Args:
        file: name of the figure's PNG, in the folder of the job or the multirun.
        write: draws the figure to a path.
        verdicts: each with the label that tells it from the others of a sweep.
        words: metrics that the study adds, and what they mean.
        answers: whether it is the study's answer; else it stands beside the memorization rate's.
    """

    title: str
    file: str
    caption: str
    write: Callable[[Path], None]
    verdicts: Sequence[tuple[str, Verdict]]
    tables: list[Block]
    words: Mapping[str, str]
    answers: bool = True
