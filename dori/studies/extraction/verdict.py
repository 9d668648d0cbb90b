"""What the extraction study bears out: its verdict, with the notes that a reader should know."""

from collections.abc import Iterator
from dataclasses import replace

from dori.results.reading.comparison import Comparison, comparisons
from dori.results.reading.rows import Rows
from dori.results.verdicts.memory import judge
from dori.results.verdicts.questions import Verdict, cite

TITLE = "Training data extraction"
CAPTION = (
    "Share of prompts, with its 95 % interval; the figures at the right count the extracted ones. Without "
    "the training image an attacker sees the cliques alone: a clique that is not extracted shows something "
    "else than the training image."
)
METRICS = {
    "Extracted": "extraction rate: share of prompts with a clique, that is, so many samples that are all "
    "near-duplicates of each other (SSCD above the threshold), whose members all match the training image",
    "Cliques": "share of prompts with a clique, whatever it shows: the signal of memorization that is seen "
    "without the training image",
    "Clique_Precision": "of the prompts with a clique, the share whose clique matches the training image",
}


def verdicts(rows: Rows) -> list[tuple[Comparison, Verdict]]:
    """The main verdict's questions, asked of the extraction rate."""
    found = [replace(c, rate="Extracted") for c in comparisons(rows)]
    judged = [(c, judge(c)) for c in found]
    return [(c, replace(verdict, notes=(*notes(c), *verdict.notes))) for c, verdict in judged]


def notes(c: Comparison) -> Iterator[str]:
    """What counts as extracted, what an attacker sees, how often that is right, and who can do it."""
    samples, clique = c.params["study.samples"], c.params["study.clique"]
    yield (
        f"Extracted: at least {clique} of {samples} samples are near-duplicates of each other and of the "
        "training image."
    )
    if told := _path(c, "Cliques"):
        control = c.figure("original", "Cliques", "unseen")
        beside = f"; on unseen prompts of the original model {cite(control)}" if control else ""
        yield f"Prompts with a clique, the signal without the training image: {told}{beside}."
    if told := _path(c, "Clique_Precision"):
        yield f"Of these, the clique is the training image for: {told}."
    if c.attack:
        yield (
            f"{c.attack} is given the training image: it audits what the weights hold, and is no extraction "
            "by an outsider."
        )


def _path(c: Comparison, metric: str) -> str:
    """The metric before, after and under attack."""
    settings = dict.fromkeys(("original", c.mitigation, c.attacked))
    figures = [(setting, c.figure(setting, metric)) for setting in settings]
    return ", ".join(f"{setting} {cite(figure)}" for setting, figure in figures if figure)
