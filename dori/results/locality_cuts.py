"""The verdict on pruning by some of an image's triggers: does it stop the others?"""

from dori.results.answers import ABOVE, UNDECIDED, WITHIN, answer
from dori.results.estimate import Estimate
from dori.results.locality_rows import cited, cuts, figure_of, margins_of, methods, value
from dori.results.locality_words import CHANCE, OTHERS, OWN, USUAL
from dori.results.questions import Verdict
from dori.results.rows import Rows


def cut_verdict(rows: Rows) -> Verdict:
    parts, codes = [], []
    ks = [k for k in cuts(rows) if k]
    for method in methods(rows, "cuts"):

        def of(what: str, metric: str, method: str = method) -> Estimate | None:
            return figure_of(rows, "cuts", f"{method}: {what}", metric)

        before = of("no pruning", "Left/0")
        first, last = f"Left/{ks[0]}", f"Left/{ks[-1]}"
        weights = of(OWN, f"Weights/{ks[0]}")
        if weights and not weights.value:
            codes.append("nothing")
            parts.append(f"{method}: for no trigger that is first in its image's order it selects anything.")
            continue
        fall, used, less = (of(OWN, f"{name}/{ks[0]}") for name in ("Fall", "Used_fall", "Below_others"))
        codes.append(case(of(OWN, first), fall, used, less, margins_of(rows).rate))
        parts.append(
            f"{method}: {cited(before)} of the triggers replicate before, on fresh noise. Pruned by {ks[0]}"
            f" trigger of the image, {cited(of(OWN, first))} of its others do, and"
            f" {cited(of(OWN, f'Used/{ks[0]}'))} of those pruned by; with as many weights of other images'"
            f" triggers {cited(of(OTHERS, first))}, of ordinary prompts {cited(of(USUAL, first))}, at random"
            f" {cited(of(CHANCE, first))}."
        )
        if len(ks) > 1:
            parts.append(f"Pruned by {ks[-1]}: {cited(of(OWN, last))}, {cited(of(OTHERS, last))},"
                         f" {cited(of(USUAL, last))} and {cited(of(CHANCE, last))}.")  # fmt: skip
        fids = [(k, of("no pruning" if k == 0 else OWN, f"FID/{k}")) for k in (0, ks[0], ks[-1])]
        if all(figure for _, figure in fids):
            told = ", ".join(f"{value(figure)} at k = {k}" for k, figure in fids)
            n = fids[0][1].n if fids[0][1] else 0
            small = ", too few for a claim" if (n or 0) < 1000 else ""
            parts.append(f"FID: {told} (n = {n:,}{small}).")
    headlines = {
        "nothing": "Nothing is selected to prune",
        "local": "One trigger's weights hold the image: pruned, its other triggers fail, and only then",
        "unspecific": "Pruning by a trigger stops the image's others, but other images' weights do as much",
        "own_only": "Pruning by a trigger stops that trigger, and not the image's others",
        "not_local": "Pruning by a trigger does not stop the image's others",
        "undecided": "Undecided what pruning by a trigger does to the image's others",
        "partly": "Pruning by a trigger weakens the image's others, and does not stop them",
    }
    pairs = list(zip(methods(rows, "cuts"), codes, strict=True))
    headline = "; ".join(
        f"{method}: {headlines[code][0].lower()}{headlines[code][1:]}" for method, code in pairs
    )
    return Verdict(codes[0] if len(set(codes)) == 1 else "mixed", headline, " ".join(parts))


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
