"""What the subspace study bears out: overlap of masks, and masks swapped."""

from dori.results.reading.answers import ABOVE, UNDECIDED, WITHIN, Answer, paired, turned
from dori.results.reading.estimate import Estimate, estimate
from dori.results.reading.margins import Margins
from dori.results.reading.rows import Rows
from dori.results.verdicts.questions import Question, Verdict, asked

TITLE = "Masks of disjoint sets of prompts"
CAPTION = (
    "Left: overlap of masks found from disjoint sets of prompts; the bars are what chance gives at equal "
    "counts. Right: memorization rate with each prompt mitigated by the mask of its own half, of the other "
    "half, of as many ordinary prompts cut to equal count, and at random. Lines are 95 % intervals."
)
METRICS = {
    "IoU": "intersection over union of the masks of disjoint groups of prompts, mean over pairs of groups; "
    "its interval is a jackknife over groups",
    "IoU_chance": "the same for masks drawn at random with as many weights in each layer",
    "IoU_over_chance": "IoU less that",
    "IoU_over_ordinary": "IoU less that of ordinary prompts; tested by permuting which groups are of "
    "which kind",
}
MEMORIZED, ORDINARY = "memorized and memorized", "ordinary and ordinary"
SUFFIXES = ("own_half", "other_half", "ordinary")


def settings(rows: Rows) -> list[str]:
    """original, random, and the method's three masks."""
    names = dict.fromkeys(row["setting"] for row in rows if row["kind"] != "masks")
    return sorted(names, key=lambda name: next((i for i, s in enumerate(SUFFIXES) if name.endswith(s)), 9))


def verdict(rows: Rows) -> Verdict:
    """Both claims, each held against its baseline."""
    kind = next(row["kind"] for row in rows if row["kind"] != "masks")
    margin = Margins.of(rows[0]["params"]).rate
    names = {suffix: name for suffix in SUFFIXES for name in settings(rows) if name.endswith(suffix)}
    other, usual = names["other_half"], names["ordinary"]
    among = figure_of(rows, MEMORIZED, "IoU")
    over = {name: figure_of(rows, MEMORIZED, f"IoU_over_{name}") for name in ("ordinary", "chance")}
    questions = [
        Question("overlap above that of ordinary prompts", among, over["ordinary"], margin),
        Question("overlap above chance", among, over["chance"], margin),
        Question("the other half's mask lowers the rate", figure_of(rows, other, "MR", kind),
                 turned(paired(figure_of(rows, other, "MR_difference", kind))), margin),
        Question("more than that of ordinary prompts", figure_of(rows, usual, "MR", kind),
                 turned(paired(figure_of(rows, other, f"MR_over_{usual}", kind))), margin),
    ]  # fmt: skip
    code, headline, text = _case(*(each.answer for each in questions))
    return Verdict(code, headline, text, figures=asked(questions, "figure"))


def _case(overlap: Answer, by_chance: Answer, mitigates: Answer, more: Answer) -> tuple[str, str, str]:
    if mitigates == WITHIN:
        return "none", "No shared subspace is seen", "The mask of one half does not mitigate the other half."
    if mitigates == UNDECIDED or more == UNDECIDED:
        text = "It takes more prompts to tell what the mask of one half does to the other half."
        return "undecided", "Undecided whether memorized prompts share a subspace", text
    if more == WITHIN:
        text = "As many weights that ordinary prompts select mitigate as much, up to the margin."
        return "unspecific", "The mask transfers, but that of ordinary prompts does as much", text
    if overlap == by_chance == ABOVE:
        text = (
            "The mask of one half mitigates the other, and masks overlap more than those of ordinary prompts."
        )
        return "shared", "Memorized prompts share a subspace", text
    text = "The mask of one half mitigates the other, more than one of ordinary prompts."
    if overlap == WITHIN:
        return "transfers", "The mask transfers, but overlaps no more than any prompts' masks do", text
    return "transfers", "The mask transfers; whether masks overlap more is undecided", text


def figure_of(rows: Rows, setting: str, metric: str, kind: str = "masks") -> Estimate | None:
    """A metric of the one row of a setting and kind; None where there is none."""
    found = (row for row in rows if row["setting"] == setting and row["kind"] == kind)
    return estimate(next(found, None), metric)
