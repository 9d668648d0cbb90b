"""The verdict on pruning by some of an image's triggers: does it stop the others?"""

from dori.results.reading.answers import ABOVE, UNDECIDED, WITHIN, answer
from dori.results.reading.estimate import Estimate
from dori.results.reading.rows import Rows
from dori.results.verdicts.questions import Question, Verdict, asked
from dori.studies.locality.telling.rows import cuts, figure_of, margins_of, methods
from dori.studies.locality.telling.words import OTHERS, OWN


def cut_verdict(rows: Rows) -> Verdict:
    """Whether cutting some triggers of an image stops the others: verdict and questions."""
    margin, codes, questions = margins_of(rows).rate, [], []
    k = next(k for k in cuts(rows) if k)
    for method in methods(rows, "cuts"):

        def of(what: str, metric: str, method: str = method) -> Estimate | None:
            return figure_of(rows, "cuts", f"{method}: {what}", f"{metric}/{k}")

        weights, own = of(OWN, "Weights"), of(OWN, "Left")
        if weights and not weights.value:
            codes.append("nothing")
            continue
        fall, used, less = (of(OWN, name) for name in ("Fall", "Used_fall", "Below_others"))
        codes.append(case(own, fall, used, less, margin))
        questions += [
            Question(f"{method}: the image's other triggers fail", own, fall, margin),
            Question(f"{method}: those pruned by fail", of(OWN, "Used"), used, margin),
            Question(f"{method}: other images' weights leave more", of(OTHERS, "Left"), less, margin),
        ]
    headlines = {
        "nothing": "Nothing is selected to prune",
        "local": "One trigger's weights hold the image",
        "unspecific": "Other images' weights stop an image's triggers as well",
        "own_only": "Pruning by a trigger stops that trigger alone",
        "not_local": "Pruning by a trigger does not stop the image's others",
        "undecided": "Undecided what pruning by a trigger does",
        "partly": "Pruning by a trigger weakens the image's others",
    }
    pairs = list(zip(methods(rows, "cuts"), codes, strict=True))
    headline = "; ".join(
        f"{method}: {headlines[code][0].lower()}{headlines[code][1:]}" for method, code in pairs
    )
    code = codes[0] if len(set(codes)) == 1 else "mixed"
    text = f"Share of an image's triggers that still bring it back, pruned by {k} of them, on fresh noise."
    return Verdict(code, headline, text, figures=asked(questions, "left"))


def case(
    own: Estimate | None, fall: Estimate | None, used: Estimate | None, others: Estimate | None, margin: float
) -> str:
    """If memorization were local, own masks alone would bring the other triggers down, to nothing.

    ``own``: what is left of the others; ``fall``: how much less than without pruning; ``used``: the same of
    the triggers pruned by; ``others``: how much more other images' weights leave.
    """
    fell, specific = answer(fall, margin), answer(others, margin)
    if fell == WITHIN:
        return {ABOVE: "own_only", WITHIN: "not_local", UNDECIDED: "undecided"}[answer(used, margin)]
    if UNDECIDED in (fell, specific):
        return "undecided"
    if specific == WITHIN:
        return "unspecific"
    return "local" if own and own.high is not None and own.high < margin else "partly"
