"""What the locality study bears out: a verdict for each of the paper's claims, from the rows alone."""

from dori.results.estimate import Estimate, estimate, number
from dori.results.rows import Row, Rows
from dori.results.verdict import Verdict, cite

ONE, DIFFERENT = "one image", "different images"
BESIDE = ("memorized prompts", "ordinary prompts", "random embeddings")
OWN_START = "trigger and its start"
GROUPS = (ONE, DIFFERENT, *BESIDE, OWN_START)
OWN, OTHERS, USUAL, CHANCE = "own triggers", "other images' triggers", "ordinary prompts", "random weights"
KINDS = ("triggers", "embeddings", "map", "path", "activations", "weights", "criteria", "cuts")
TITLES = {
    "embeddings": "Locality in the embedding space",
    "activations": "Locality of activations",
    "weights": "Locality of the selected weights",
    "cuts": "Pruned by some triggers, tried with the others",
}
CAPTIONS = {
    "embeddings": "Top: triggers (filled) and the starts of their search (hollow), one colour and marker per "
    "image; PCA keeps distances as they are, t-SNE may invent clusters. Bottom: distances of pairs, and the "
    "share of images that come on the straight line from one trigger to another. Bars are 95 % intervals "
    "over images.",
    "activations": "Mean distance of the activations at fixed noise, layer by layer, in units of the layer's "
    "own size (root mean square norm on ordinary prompts). Bands are 95 % intervals over images.",
    "weights": "Top: overlap of what a method selects for each pair; the upright bars are what chance gives "
    "at equal counts. Bottom: four criteria on the same layers at equal count: overlap for the same image, "
    "in brackets by chance.",
    "cuts": "Share of an image's triggers that still bring it back after pruning, with the mask of k of its "
    "triggers, for the triggers beyond those k; dotted: for the k themselves. Masks have equal counts. Bands "
    "are 95 % intervals over images.",
}
CLAIMS = {  # of Finding DoRI
    "embeddings": "triggers of one image lie all over the embedding space",
    "activations": "triggers of one image drive the model through different activations",
    "weights": "methods select different weights for different triggers of one image",
}
BORNE_OUT = {
    "not_local": "is borne out here", "local": "is not borne out here", "unknown": "cannot be tested here",
}  # fmt: skip
WORDS = {
    "L2": "Euclidean distance of whole embeddings; mean over pairs, every image counts once",
    "Cosine": "1 minus the cosine of whole embeddings",
    "Token_L2": "Euclidean distance token by token, mean over tokens",
    "Relative_L2": "Euclidean distance of a layer's activations at fixed noise, by the layer's own size on "
    "ordinary prompts; mean over layers",
    "ratio": "pairs of one image by pairs of different images: 1 where an image's triggers are no more alike "
    "than any",
    "IoU": "intersection over union of what is selected, without the pairs where both select nothing",
    "IoU_with_empty": "the same, with such pairs as 1, as in the paper",
    "IoU_chance": "expected exactly for sets of those sizes, layer by layer",
    "Empty": "share of pairs of which both select nothing",
    "Left": "share of an image's triggers, beyond the k that were pruned by, that still replicate; mean over "
    "images",
    "Used": "the same of the k triggers that were pruned by",
}


def figure_of(rows: Rows, kind: str, setting: str, metric: str) -> Estimate | None:
    found = (row for row in rows if row["kind"] == kind and row["setting"] == setting)
    return estimate(next(found, None), metric)


def methods(rows: Rows, kind: str) -> list[str]:
    """The pruning methods, in the order of the rows."""
    return list(dict.fromkeys(row["setting"].split(":")[0] for row in rows if row["kind"] == kind))


def cuts(rows: Rows) -> list[int]:
    """The numbers of triggers that were pruned by, 0 first."""
    names = {name for row in rows if row["kind"] == "cuts" for name in row["metrics"]}
    return sorted(int(name.split("/")[1]) for name in names if name.startswith("Left/"))


def verdicts(rows: Rows) -> dict[str, Verdict]:
    """By the kind of row that each is about; without triggers the first alone says so."""
    if not any(row["kind"] == "embeddings" for row in rows):
        return {"embeddings": Verdict("no_triggers", "No verdict on locality", _counts(rows))}
    return {
        "embeddings": _space(rows), "activations": _activations(rows), "weights": _weights(rows),
        "cuts": _cuts(rows),
    }  # fmt: skip


def _claim(kind: str, code: str) -> str:
    """Whether the paper's claim is what is seen here; in part, for codes in between."""
    return f"The paper's claim, that {CLAIMS[kind]}, {BORNE_OUT.get(code, 'is borne out in part here')}."


def _counts(rows: Rows) -> str:
    row = next(row for row in rows if row["kind"] == "triggers")
    share, images = estimate(row, "Share"), estimate(row, "Images")
    count = row["metrics"]["Triggers"]
    text = (
        f"Of {count['n']:,} attempts on memorized images, {_cite(share)} give an embedding that replicates;"
        f" {count['value']:g} triggers of {number(images.value if images else 0, 0)} images are compared."
    )
    left = row.get("left_out") or []
    if left:
        text += f" Left out, with fewer than two triggers: {', '.join(left)}."
    return text


def alike(ratio: Estimate | None) -> tuple[str, str]:
    """A code and words for a ratio of pairs of one image to pairs of different images."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return "unknown", "cannot be told: there is one image alone"
    if ratio.high < 0.5:
        return "local", "are far closer to each other than to those of other images"
    if ratio.high < 1:
        return "closer", "are closer to each other than to those of other images, but not by half"
    if ratio.low > 1:
        return "not_local", "are further from each other than from those of other images"
    return "not_local", "are no closer to each other than to those of other images"


def _space(rows: Rows) -> Verdict:
    def of(setting: str, metric: str = "L2") -> Estimate | None:
        return figure_of(rows, "embeddings", setting, metric)

    code, words = alike(of(ONE, "L2_ratio"))
    text = (
        f"{_counts(rows)} Two triggers of one image lie {_cite(of(ONE))} apart (L2), of different images"
        f" {_cite(of(DIFFERENT))}: {_cite(of(ONE, 'L2_ratio'))} times. Memorized prompts lie"
        f" {_value(of(BESIDE[0]))} apart, ordinary prompts {_value(of(BESIDE[1]))}, random embeddings of the"
        f" triggers' norm {_value(of(BESIDE[2]))}; a trigger and its own start {_value(of(OWN_START))}."
    )
    return Verdict(
        code,
        f"Triggers of one image {words}",
        text,
        (_claim("embeddings", code), *_inherited(rows), *_paths(rows)),
    )


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
    ends = found[ONE][0][1].value
    if figure.value > 0.9 * ends:
        return [text + ": as at the ends, so these lie in one connected region."]
    if figure.value < 0.1 * ends:
        return [
            text + ": the line leaves the region, so they lie in separate ones as far as a line can tell."
        ]
    return [text + ": some pairs lie in one connected region, others do not."]


def path(rows: Rows, setting: str) -> list[tuple[float, Estimate]]:
    """(place on the way, share of lines that bring the first image), in order."""
    row = next((row for row in rows if row["kind"] == "path" and row["setting"] == setting), None)
    names = [name for name in (row or {}).get("metrics", {}) if name.startswith("MR/")]
    points = [(float(name.split("/")[1]), estimate(row, name)) for name in names]
    return sorted((at, figure) for at, figure in points if figure is not None)


def _activations(rows: Rows) -> Verdict:
    def of(setting: str, metric: str = "Relative_L2") -> Estimate | None:
        return figure_of(rows, "activations", setting, metric)

    code, words = alike(of(ONE, "Relative_L2_ratio"))
    text = (
        f"In units of each layer's own size, mean over layers, the activations of two triggers of one image"
        f" lie {_cite(of(ONE))} apart, of different images {_cite(of(DIFFERENT))}:"
        f" {_cite(of(ONE, 'Relative_L2_ratio'))} times. Memorized prompts lie {_value(of(BESIDE[0]))} apart,"
        f" ordinary prompts {_value(of(BESIDE[1]))}, random embeddings {_value(of(BESIDE[2]))}."
    )
    headline = f"The activations of an image's triggers {words}"
    return Verdict(code, headline, text, (_claim("activations", code),))


def _weights(rows: Rows) -> Verdict:
    parts, codes = [], []
    for method in methods(rows, "weights"):
        one, different = (f"{method}: {group}" for group in (ONE, DIFFERENT))
        inside, across = (figure_of(rows, "weights", name, "IoU") for name in (one, different))
        chance, empty = (figure_of(rows, "weights", one, name) for name in ("IoU_chance", "Empty"))
        ratio = figure_of(rows, "weights", one, "IoU_ratio")
        if inside is None:
            codes.append("same")
            parts.append(f"{method}: too few triggers of one image for which it selects anything.")
            continue
        told = "cannot be told apart from"
        if ratio and ratio.low is not None and ratio.high is not None:
            told = "above" if ratio.low > 1 else "below" if ratio.high < 1 else told
        codes.append({"above": "more", "below": "less"}.get(told, "same"))
        parts.append(
            f"{method}: IoU {_cite(inside)} for triggers of one image, {told} {_cite(across)} for triggers of"
            f" different images (chance {_value(chance)}; both are empty in {_value(empty)} of the pairs)."
        )
    criteria = [row for row in rows if row["kind"] == "criteria" and _two(row)]
    if criteria:
        named = (f"{row['setting']} {_value(estimate(row, 'IoU/values'))} and"
                 f" {_value(estimate(row, 'IoU/feed_forward'))}" for row in criteria)  # fmt: skip
        chance = estimate(criteria[0], "IoU_chance/values"), estimate(criteria[0], "IoU_chance/feed_forward")
        parts.append(
            f"Different criteria at equal count, on value and on feed-forward layers: {'; '.join(named)}"
            f" (chance {_value(chance[0])} and {_value(chance[1])})."
        )
    headline = "Triggers of one image select no more of the same weights than those of different images"
    code = "not_local"
    if "more" in codes:
        code = "more" if set(codes) == {"more"} else "mixed"
        which = [m for m, c in zip(methods(rows, "weights"), codes, strict=True) if c == "more"]
        headline = f"{' and '.join(which)}: triggers of one image agree more than those of different images"
    notes = [_claim("weights", code)]
    if "wanda" in headline:
        notes.append(
            "The paper's own figure for Wanda, too, seems to agree more within an image than across."
        )
    return Verdict(code, headline, " ".join(parts), tuple(notes))


def _two(row: Row) -> bool:
    one, other = row["setting"].split(" and ")
    return one != other


def _cuts(rows: Rows) -> Verdict:
    parts, codes = [], []
    ks = [k for k in cuts(rows) if k]
    for method in methods(rows, "cuts"):

        def of(what: str, metric: str, method: str = method) -> Estimate | None:
            return figure_of(rows, "cuts", f"{method}: {what}", metric)

        before = of("no pruning", "Left/0")
        first, last = f"Left/{ks[0]}", f"Left/{ks[-1]}"
        codes.append(_case(before, of(OWN, first), of(OTHERS, first), of(OWN, f"Used/{ks[0]}")))
        parts.append(
            f"{method}: {_cite(before)} of the triggers replicate before, on fresh noise. Pruned by {ks[0]}"
            f" trigger of the image, {_cite(of(OWN, first))} of its others do, and"
            f" {_cite(of(OWN, f'Used/{ks[0]}'))} of those pruned by; with as many weights of other images'"
            f" triggers {_cite(of(OTHERS, first))}, of ordinary prompts {_cite(of(USUAL, first))}, at random"
            f" {_cite(of(CHANCE, first))}."
        )
        if len(ks) > 1:
            parts.append(f"Pruned by {ks[-1]}: {_cite(of(OWN, last))}, {_cite(of(OTHERS, last))},"
                         f" {_cite(of(USUAL, last))} and {_cite(of(CHANCE, last))}.")  # fmt: skip
        fids = [(k, of("no pruning" if k == 0 else OWN, f"FID/{k}")) for k in (0, ks[0], ks[-1])]
        if all(figure for _, figure in fids):
            told = ", ".join(f"{_value(figure)} at k = {k}" for k, figure in fids)
            n = fids[0][1].n if fids[0][1] else 0
            small = ", too few for a claim" if (n or 0) < 1000 else ""
            parts.append(f"FID: {told} (n = {n:,}{small}).")
    headlines = {
        "local": "One trigger's weights hold the image: pruned, its other triggers fail, and only then",
        "unspecific": "Pruning by a trigger stops the image's others, but other images' weights do as much",
        "own_only": "Pruning by a trigger stops that trigger, and not the image's others",
        "not_local": "Pruning by a trigger does not stop the image's others",
        "partly": "Pruning by a trigger weakens the image's others, and does not stop them",
    }
    pairs = list(zip(methods(rows, "cuts"), codes, strict=True))
    headline = "; ".join(
        f"{method}: {headlines[code][0].lower()}{headlines[code][1:]}" for method, code in pairs
    )
    return Verdict(codes[0] if len(set(codes)) == 1 else "mixed", headline, " ".join(parts))


def _case(
    before: Estimate | None, own: Estimate | None, others: Estimate | None, used: Estimate | None
) -> str:
    """If memorization were local, own masks alone would bring the other triggers down, to nothing."""
    if before is None or own is None:
        return "not_local"
    if not _below(own, before):
        return "own_only" if used and _below(used, before) else "not_local"
    if others and not _below(own, others):
        return "unspecific"
    return "local" if own.value < 0.1 * before.value else "partly"


def _below(one: Estimate, other: Estimate) -> bool:
    high = one.value if one.high is None else one.high
    low = other.value if other.low is None else other.low
    return high < low


def _cite(figure: Estimate | None) -> str:
    return cite(figure) if figure else "not measured"


def _value(figure: Estimate | None) -> str:
    return number(figure.value) if figure else "not measured"
