"""What the transfer study bears out: who finds a trigger, and who draws from it."""

from dori.metrics.differences import holm
from dori.results.reading.answers import ABOVE, WITHIN, apart, paired
from dori.results.reading.block import Block
from dori.results.reading.comparison import CARRIED, kinds_of, split
from dori.results.reading.estimate import MISSING, Estimate, estimate, with_interval
from dori.results.reading.margins import Margins
from dori.results.reading.rows import Rows
from dori.results.reading.words import kind_title
from dori.results.verdicts.questions import Question, Verdict, asked

TITLE = "Transfer of triggers"
CAPTION = (
    "Memorization rate of triggers found on the model of a line and drawn by the model of a column. The twin "
    "never saw the pictures: what it draws is in the trigger and not in the model."
)
NOBODY = "no attack"
TWIN = "twin"


def models(rows: Rows) -> list[str]:
    """Original, mitigated, twin: everything that draws."""
    plain = dict.fromkeys(row["setting"] for row in rows if "+" not in row["setting"])
    return sorted(plain, key=lambda name: (name == TWIN, name != "original"))


def rate(rows: Rows, found: str, drawn: str, kind: str | None = None, metric: str = "MR") -> Estimate | None:
    """MR of triggers ``found`` on one model (``NOBODY``'s: the prompts) and ``drawn`` by another."""
    carried = next(row["setting"] for row in rows if CARRIED in row["setting"])
    attack = split(carried.partition(CARRIED)[0])[1]
    own = f"{found}+{attack}" if found != NOBODY else drawn
    setting = own if drawn == found or found == NOBODY else f"{own}{CARRIED}{drawn}"
    kind = kind or kinds_of(rows)[0]
    return estimate(next((r for r in rows if (r["setting"], r["kind"]) == (setting, kind)), None), metric)


def matrices(rows: Rows) -> list[Block]:
    """One block per kind of target: found on (lines) by drawn by (columns)."""
    names, blocks = models(rows), []
    for kind in kinds_of(rows):
        lines = [
            (found, *(with_interval(figure) if figure else MISSING for figure in figures))
            for found in (NOBODY, *names)
            if (figures := [rate(rows, found, drawn, kind) for drawn in names])
        ]
        columns = ("found on", *(f"drawn by {name}" for name in names))
        blocks.append(Block(f"MR of triggers, {kind_title(kind)}", columns, tuple(lines), 1))
    return blocks


def verdict(rows: Rows) -> Verdict:
    """Whether triggers of mitigated models work in models that they were not found on.

    They do where more come back than the twin draws from them, on the same prompts; p-values are Holm's.
    """
    names, margin = models(rows), Margins.of(rows[0]["params"]).rate
    sources = [name for name in names if name not in ("original", TWIN)]
    own: list[Question] = []
    carried: list[Question] = []
    for source in sources:
        for drawn in (name for name in names if name != TWIN):
            if figure := rate(rows, source, drawn):
                where = "own model" if drawn == source else drawn
                question = Question(f"{source}'s triggers in {where} above the twin", figure,
                                    _over_twin(rows, source, drawn, figure), margin)  # fmt: skip
                (own if drawn == source else carried).append(question)
    text = "The twin never saw the pictures: what it draws is in the triggers."
    if TWIN not in names:
        text = "There is no twin to tell what the triggers themselves carry."
    figures, some = asked([*own, *carried]), [holds(questions) for questions in (carried, own)]
    if some[0]:
        return Verdict(
            "transfers", "Triggers work in models that they were not found on", text, figures=figures
        )
    if any(question.answer != WITHIN for question in carried):
        return Verdict("undecided", "Undecided whether triggers work elsewhere", text, figures=figures)
    if some[1]:
        return Verdict(
            "own_model", "Triggers work only in the model that they were found on", text, figures=figures
        )
    return Verdict("none", "No trigger does more than in the twin", text, figures=figures)


def holds(questions: list[Question]) -> bool:
    """Whether any of several is a yes: by Holm's p-values."""
    known = [d.p for each in questions if (d := each.difference) and d.p is not None]
    above = [each.answer == ABOVE for each in questions if (d := each.difference) and d.p is not None]
    return any(p < 0.05 and yes for p, yes in zip(holm(known), above, strict=True))


def _over_twin(rows: Rows, source: str, drawn: str, figure: Estimate) -> Estimate:
    """How much more than the twin draws of the same triggers."""
    metric = "MR_over_carried" if drawn == source else "MR_over_twin"
    bound = Estimate(Margins.of(rows[0]["params"]).control)
    over = paired(rate(rows, source, drawn, metric=metric))
    return over or apart(figure, rate(rows, source, TWIN) or bound)
