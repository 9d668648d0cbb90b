"""What the locality study bears out: a verdict for each of the paper's claims, from the rows alone."""

from dori.results.reading.answers import ABOVE, WITHIN, answer
from dori.results.reading.estimate import Estimate, estimate, number
from dori.results.reading.margins import Margins
from dori.results.reading.rows import Row, Rows
from dori.results.verdicts.questions import Verdict, cite
from dori.studies.locality.telling.cuts import cut_verdict
from dori.studies.locality.telling.rows import cited, figure_of, listed, margins_of, methods, path
from dori.studies.locality.telling.words import BESIDE, DIFFERENT, ONE, OWN_START

CLAIMS = {  # of Finding DoRI
    "embeddings": "triggers of one image lie all over the embedding space",
    "activations": "triggers of one image drive the model through different activations",
    "weights": "methods select different weights for different triggers of one image",
}
BORNE_OUT = {
    "not_local": "is borne out here", "local": "is not borne out here", "undecided": "is undecided here",
}  # fmt: skip


def verdicts(rows: Rows) -> dict[str, Verdict]:
    """By the kind of row that each is about; without triggers the first alone says so."""
    if not any(row["kind"] == "embeddings" for row in rows):
        return {"embeddings": Verdict("no_triggers", "No verdict on locality", _counts(rows))}
    return {
        "embeddings": _space(rows), "activations": _activations(rows), "weights": _weights(rows),
        "cuts": cut_verdict(rows),
    }  # fmt: skip


def _claim(kind: str, code: str) -> str:
    """Whether the paper's claim is what is seen here; in part, for codes in between."""
    return f"The paper's claim, that {CLAIMS[kind]}, {BORNE_OUT.get(code, 'is borne out in part here')}."


def _counts(rows: Rows) -> str:
    row = next(row for row in rows if row["kind"] == "triggers")
    share, images = estimate(row, "Share"), estimate(row, "Images")
    count = row["metrics"]["Triggers"]
    text = (
        f"Of {count['n']:,} attempts on memorized images, {cited(share)} give an embedding that replicates;"
        f" {count['value']:g} triggers of {number(images.value if images else 0, 0)} images are compared."
    )
    left = row.get("left_out") or []
    if left:
        text += f" Left out, with fewer than two triggers: {', '.join(left)}."
    return text


def alike(ratio: Estimate | None, margins: Margins) -> tuple[str, str]:
    """A code and words for a ratio of pairs of one image to pairs of different images."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return "undecided", "cannot be compared: it takes five images with two triggers each"
    if ratio.high < margins.near:
        return "local", "are far closer than those of different images"
    if ratio.high < 1:
        return "closer", "are closer than those of different images"
    if ratio.low > 1 - margins.ratio:
        return "not_local", "are no closer than those of different images"
    return "undecided", "may be closer than those of different images: undecided"


def _space(rows: Rows) -> Verdict:
    def of(setting: str, metric: str = "L2") -> Estimate | None:
        return figure_of(rows, "embeddings", setting, metric)

    code, words = alike(of(ONE, "L2_ratio"), margins_of(rows))
    figures = listed("L2 distance of", [
        ("two triggers of one image", of(ONE)), ("two of different images", of(DIFFERENT)),
        ("the one by the other", of(ONE, "L2_ratio")), *((name, of(name)) for name in (*BESIDE, OWN_START)),
    ])  # fmt: skip
    notes = (_claim("embeddings", code), *_inherited(rows), *_paths(rows))
    return Verdict(code, f"Triggers of one image {words}", _counts(rows), notes, figures)


def _inherited(rows: Rows) -> list[str]:
    moved, apart = (figure_of(rows, "embeddings", group, "L2") for group in (OWN_START, ONE))
    if moved is None or apart is None or moved.value >= apart.value:
        return []
    return [
        f"A trigger stays nearer to its start than to the image's next trigger"
        f" ({number(moved.value / apart.value)} of that distance): how far triggers are spread is in part how"
        " far the starts were, and says that there are triggers in many places."
    ]


def _paths(rows: Rows) -> list[str]:
    found = {setting: path(rows, setting) for setting in (ONE, DIFFERENT)}
    middle = {s: min(points, key=lambda p: abs(p[0] - 0.5)) for s, points in found.items() if points}
    if ONE not in middle:
        return []
    at, figure = middle[ONE]
    text = f"On the line between two triggers of an image, at {at:g}, the image comes in {cite(figure)}"
    if DIFFERENT in middle:
        text += f" (towards another image's trigger: {cite(middle[DIFFERENT][1])})"
    fall, margin = figure_of(rows, "path", ONE, f"MR_fall/{at:g}"), margins_of(rows).rate
    if answer(fall, margin) == WITHIN:
        return [text + ": as at the ends, so these lie in one connected region."]
    if answer(fall, margin) == ABOVE and figure.high is not None and figure.high < margin:
        return [
            text + ": the line leaves the region, so they lie in separate ones as far as a line can tell."
        ]
    if answer(fall, margin) == ABOVE:
        return [text + ": some pairs lie in one connected region, others do not."]
    return [text + ": whether it comes less often than at the ends is undecided."]


def _activations(rows: Rows) -> Verdict:
    def of(setting: str, metric: str = "Relative_L2") -> Estimate | None:
        return figure_of(rows, "activations", setting, metric)

    code, words = alike(of(ONE, "Relative_L2_ratio"), margins_of(rows))
    figures = listed("activations' distance of", [
        ("two triggers of one image", of(ONE)), ("two of different images", of(DIFFERENT)),
        ("the one by the other", of(ONE, "Relative_L2_ratio")), *((name, of(name)) for name in BESIDE),
    ])  # fmt: skip
    text = "Distances are in units of each layer's own size, mean over layers."
    headline = f"Activations of an image's triggers {words}"
    return Verdict(code, headline, text, (_claim("activations", code),), figures)


def _weights(rows: Rows) -> Verdict:
    codes, lines = [], []
    for method in methods(rows, "weights"):
        one = f"{method}: {ONE}"
        ratio = figure_of(rows, "weights", one, "IoU_ratio")
        codes.append(_agreement(ratio, margins_of(rows)))
        lines += [
            (f"{method}, triggers of one image", figure_of(rows, "weights", one, "IoU")),
            (f"{method}, of different images", figure_of(rows, "weights", f"{method}: {DIFFERENT}", "IoU")),
            (f"{method}, the one by the other", ratio),
            (f"{method}, by chance", figure_of(rows, "weights", one, "IoU_chance")),
            (f"{method}, share of pairs that are both empty", figure_of(rows, "weights", one, "Empty")),
        ]
    for row in (row for row in rows if row["kind"] == "criteria" and _two(row)):
        for some, where in (("values", "values"), ("feed_forward", "feed-forward")):
            lines.append((f"{row['setting']}, {where}", estimate(row, f"IoU/{some}")))
            lines.append((f"{row['setting']}, {where}, by chance", estimate(row, f"IoU_chance/{some}")))
    headline = "An image's triggers select no more of the same weights"
    code = "not_local"
    if "undecided" in codes:
        code, headline = "undecided", "Undecided whether an image's triggers select more of the same weights"
    if "more" in codes:
        code = "more" if set(codes) == {"more"} else "mixed"
        which = [m for m, c in zip(methods(rows, "weights"), codes, strict=True) if c == "more"]
        headline = f"{' and '.join(which)}: triggers of one image agree more"
    notes = [_claim("weights", code)]
    if "wanda" in headline:
        notes.append(
            "The paper's own figure for Wanda, too, seems to agree more within an image than across."
        )
    text = "Than triggers of different images do, by the intersection over union of what is selected."
    return Verdict(code, headline, text, tuple(notes), listed("IoU", lines))


def _agreement(ratio: Estimate | None, margins: Margins) -> str:
    """Whether pairs of one image overlap more than pairs of different ones, by their ratio."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return "undecided"
    if ratio.low > 1:
        return "more"
    return "same" if ratio.high < 1 + margins.ratio else "undecided"


def _two(row: Row) -> bool:
    one, other = row["setting"].split(" and ")
    return one != other
