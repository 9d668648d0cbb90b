"""What a job's files hold, key by key: docs/rows.md is made of it, and a test compares it with real files."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dori.results.budget import work
from dori.results.reading.words import KINDS_EXPLAINED, METRICS_EXPLAINED, SUITE, SUITE_METRICS_EXPLAINED
from dori.studies.extraction.verdict import METRICS as EXTRACTION
from dori.studies.locality.telling.words import WORDS as LOCALITY
from dori.studies.subspace.verdict import METRICS as SUBSPACE

ROW = {
    "setting": "which model, given what: `original`, `wanda`, `wanda+dori` (attacked), `twin`, "
    "`wanda+dori>original` (triggers of the one, drawn by the other)",
    "kind": "of the targets that the row is over, or of what a study compares; see below",
    "model": "the model's name",
    "pruning": "the method that made the setting's mask; `none`",
    "defense": "what was done to the setting beside or after it; `none`",
    "attack": "what found the inputs; `none`",
    "params": "every setting of every part that took part, called as on the command line; the attack's "
    "without `attack.`. A key that is missing had no part in the row",
    "metrics": "name → figure, see below; none where every picture of the kind is of one colour",
    "failed": "names of targets whose attack did not stay finite; they are in no metric",
    "cut_prompts": "how many prompts were cut to what the text encoder reads; missing where none are drawn",
    "blank_images": "how many pictures are of one colour; missing where none are drawn",
    "features": "of `ordinary` rows: the network behind FID and KID, null without reference pictures",
    "fingerprint": "of the pictures, or of what else the row is about",
    "denoiser_evaluations": "samples forward through the denoiser that the row took: pictures, making its "
    "model, an attack's forward passes",
    "gradient_evaluations": "samples forward and backward: the attack's",
    "left_out": "of kind `triggers`: images with fewer than two triggers",
    "points": "of kind `map`: by projection, lists of (x, y, image, whether an end)",
    "images": "of kind `map`: names of the images that points count",
}  # fmt: skip
FIGURE = {
    "value": "the figure; null where there is none, and for `Work` where the budget did not reach half of "
    "the targets",
    "low": "of its 95 % interval; null where no interval is known to hold",
    "high": "of its 95 % interval",
    "n": "how many prompts, pictures or pairs it is over",
    "mad": "beside a median: the median absolute deviation",
    "pairs": "beside a paired difference: prompts that both have, the first alone, the second alone, neither",
    "survival": "beside `Work`: steps of (work, share without a copy, low, high)",
}
MORE = {
    "MR_mean": "MR with the mean over seeds above the threshold in place of the highest",
    "MR_restart": "mean over targets of the share of an attack's restarts that bring a copy",
    "SSCD_Orig_mean": "SSCD_Orig with the mean over seeds",
    "SSCD_Orig_median": "SSCD_Orig with the median over seeds",
    "SSCD_Orig_p95": "95th percentile over prompts of the highest over seeds; of unseen targets of the "
    "original model the *caption floor*",
    "SSCD_Gen": "similarity of a picture to the original model's at the same seed, median over prompts",
    "D_SSCD": "similarity among the pictures of one prompt, median over prompts",
    "FID_floor": "FID between two halves of the reference: what two equal models would show",
    "A_CLIP_difference": "A_CLIP less the original's, on the same captions",
    "Triggers": "how many triggers are compared, n: attempts of the attack",
    "Share": "share of an image's attempts that give a trigger, mean over images",
    "Images": "how many images have two triggers or more",
    "Fall": "Left before pruning less Left after it, on the same images",
    "Used_fall": "the same of the triggers that were pruned by",
    "Below_others": "Left under the masks of other images' triggers less Left under the image's own",
    "Weights": "how many weights or neurons the masks of that many triggers select, mean over images",
    "Selected": "how many weights or neurons a mask selects, mean over images",
}
PATTERNS = {  # of names that are made of another, group 1
    r"(.+)/(development|held_out)": "`METRIC/development`, `METRIC/held_out`: on one half of the targets",
    r"(.+)_difference": "`RATE_difference`: less that before the attack; not attacked, less the original's",
    r"(.+)_over_twin": "`RATE_over_twin`: less that of the same attack on the twin",
    r"(.+)_over_carried": "`RATE_over_carried`: less what the twin draws of the very same triggers",
    r"(.+)_over_\w+": "`RATE_over_SETTING`: less that of another setting on the same targets, e.g. `random`",
    r"(.+)_as_many": "`RATE_as_many`: with restarts, by as many pictures as are drawn without an attack",
    r"(.+)/[\w.]+": "`METRIC/PART`: at a layer, a set of layers, a number of triggers that were pruned by "
    "(`Left/2`), or a share of the way between two (`MR/0.25`)",
    r"(.+)_(?:chance|ratio|fall|different)": "`METRIC_chance`, `_ratio`, `_fall`, `_different`: by chance; "
    "relative to pairs of different images; lower by, on the same images; of different images",
}
OTHER_KINDS = {
    "quality/NAME": "`evaluation.quality`: pictures of the prompts of that benchmark, `quality/coco`",
    "masks": "study=subspace: pairs of masks of groups of prompts",
    "triggers": "study=locality: the attempts of the attack",
    "embeddings": "study=locality: pairs of triggers in the embedding space",
    "map": "study=locality: the places of triggers in a plane",
    "path": "study=locality: ways from one trigger to another",
    "activations": "study=locality: pairs of triggers by what they activate",
    "weights": "study=locality: pairs of triggers by what methods select for them",
    "criteria": "study=locality: pairs of methods",
    "cuts": "study=locality: models pruned by some triggers",
}
IMAGE = {
    "setting": "as in rows", "kind": "of its target", "target": "name of the target", "prompt": "its prompt",
    "seed": "of the initial noise, counted for each prompt", "restart": "of the attack",
    "steps": "of the attack, NaN where there is none", "epsilon": "size of its ball, NaN where there is none",
    "sscd_orig": "similarity to the training picture",
    "sscd_gen": "similarity to the original model's picture of that seed",
    "sscd_frame": "as `sscd_orig`, the changing part greyed; NaN without one",
    "a_clip": "cosine of picture and prompt", "file": "the PNG, relative to the folder where it lies within",
}  # fmt: skip
STAGE = {
    "name": "what was done", "seconds": "how long it took here", "cached": "whether it came from the cache",
    "denoiser_evaluations": "samples forward through the denoiser",
    "gradient_evaluations": "samples forward and backward",
}  # fmt: skip
TRIGGER = {
    "start": "where the attack began: (n, tokens, width), n = targets × restarts, a target's in a row",
    "embeddings": "where it ended: (n, tokens, width)",
    "losses": "of each step: (n, steps)",
    "failed": "the step at which the loss was not finite, -1: none: (n,)",
    "steps_to_replication": "with `attack.watch`: steps to the first copy, -1: none: (n,)",
    "noise": "of attacks that move it: the initial latent, (n, c, h, w)",
    "spread": "beside it: the share of fresh noise, (n,)",
}
KINDS = KINDS_EXPLAINED | OTHER_KINDS
METRICS = {
    name: text
    for words in (
        METRICS_EXPLAINED, SUITE_METRICS_EXPLAINED, MORE, work.METRICS, EXTRACTION, SUBSPACE, LOCALITY,
    )
    for name, text in words.items() if name not in ("one image", "ratio")
} | {"MR_one": METRICS_EXPLAINED["one image"]}  # fmt: skip


def unexplained(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What rows hold that the contract does not name: keys, kinds, metrics, parts of figures.

    Metrics of somebody's own, as ``params`` name them, are theirs to explain.
    """
    found: set[str] = set()
    for row in rows:
        own = {key.split(".")[1] for key in row["params"] if key.startswith("metrics.")}
        kind = "quality/NAME" if row["kind"].startswith(SUITE) else row["kind"]
        found |= row.keys() - ROW.keys() | {kind} - KINDS.keys()
        for name, figure in row["metrics"].items():
            found |= (figure or {}).keys() - FIGURE.keys()
            if not (name in own or _explained(name)):
                found.add(name)
    return sorted(found)


def _explained(name: str) -> bool:
    if name in METRICS:
        return True
    made_of = (match[1] for pattern in PATTERNS if (match := re.fullmatch(pattern, name)))
    return any(map(_explained, made_of))
