"""From images to rows: what each setting and kind of target gives, with n and interval."""

from collections.abc import Callable, Sequence

import pandas as pd
from torch import Tensor

from dori.data.targets import KINDS, Target
from dori.metrics.a_clip import a_clip
from dori.metrics.d_sscd import DSSCD
from dori.metrics.displacement import Displacement
from dori.metrics.intervals import Estimate, mean_estimate, mean_of_shares
from dori.metrics.memorization_rate import MemorizationRate
from dori.metrics.quantiles import median_estimate, percentile_estimate
from dori.metrics.sscd import Over, over_seeds
from dori.metrics.sscd_gen import SSCDGen
from dori.metrics.work import Work, median_work, work_of_restarts
from dori.steps.measuring.blank import blanks, looked_at
from dori.steps.measuring.features import Features, describe, originals_of, similarities
from dori.steps.measuring.frame import image_frame
from dori.steps.measuring.own import own_metrics
from dori.steps.measuring.paired import Hit, Hits, differences, hits, own_rates
from dori.steps.measuring.quality import quality_rows
from dori.steps.measuring.row import Row, base_row
from dori.steps.measuring.scores import scores
from dori.steps.measuring.suites.rows import suite_rows
from dori.steps.run import Run
from dori.steps.subjects import Attacked, Pictures

HALVES = ("development", "held_out")
# a study's own outcomes, of pictures, their descriptors (targets, seeds, d) and SSCD_Orig (targets, seeds)
Outcomes = Callable[[Pictures, Tensor, Tensor], dict[str, Hit]]


def measure(
    run: Run, drawn: Sequence[Pictures], quality: Sequence[Pictures] = (), against: Sequence[str] = (),
    outcomes: Outcomes | None = None,
) -> tuple[list[Row], pd.DataFrame]:  # fmt: skip
    """Rows of every (setting, kind), and a frame with one row per image.

    ``drawn[0]`` are the untouched model's images: SSCD_Gen and KID differences refer to them.
    ``against``: settings with which the others are compared, prompt by prompt; ``outcomes``: a study's own,
    for each target that has a result, whose shares are metrics too.
    """
    first = drawn[0]
    originals = originals_of(run, first.targets)
    described = [describe(run, each) for each in drawn]
    drawn = [looked_at(each, features) for each, features in zip(drawn, described, strict=True)]
    similar = [
        similarities(features, originals, pictures.targets, first.targets)
        for pictures, features in zip(drawn, described, strict=True)
    ]
    found: dict[str, list[Hits]] = {"MR": []}
    for pictures, each, features in zip(drawn, similar, described, strict=True):
        found["MR"].append(hits(pictures, each["orig"], run.evaluation.made.threshold))
        for name, hit in (outcomes(pictures, features["sscd"], each["orig"]) if outcomes else {}).items():
            found.setdefault(name, []).append(Hits(hit, hit))
    rows, frames = [], []
    for place, (pictures, each, features) in enumerate(zip(drawn, similar, described, strict=True)):
        frames.append(image_frame(run, pictures, each, features, described[0], first.targets))
        for kind in KINDS:
            if any(target.kind == kind for target in pictures.targets):
                row = row_of(run, pictures, kind, each, features, described[0], first.targets)
                row["metrics"] |= differences(place, drawn, found, kind, against) | scores(pictures, kind)
                row["metrics"] |= own_rates(place, drawn, found, kind)
                rows.append(row)
    rows += quality_rows(run, quality) + suite_rows(run, quality)
    return rows, pd.concat(frames, ignore_index=True)


def row_of(
    run: Run, pictures: Pictures, kind: str, similar: Features, features: Features, base: Features,
    order: list[Target],
) -> Row:  # fmt: skip
    """One row of the contract: a setting and a kind of target, those without a result left out."""
    attacked = pictures.attacked
    of_kind = [i for i, target in enumerate(pictures.targets) if target.kind == kind]
    kept = [i for i in of_kind if pictures.targets[i].name not in pictures.without_result]
    orig = similar["orig"][kept]
    names = [target.name for target in order]
    same = [names.index(pictures.targets[i].name) for i in kept]
    metrics = replication(orig, run.evaluation.made.threshold) if kept else {}
    for half in HALVES:
        part = [k for k, i in enumerate(kept) if pictures.targets[i].half == half]
        if not part:
            continue
        split = replication(orig[part], run.evaluation.made.threshold)
        metrics |= {f"{name}/{half}": split[name] for name in ("MR", "SSCD_Orig")}
    if kept:
        gen = SSCDGen(over="mean")
        gen.update(features["sscd"][kept], base["sscd"][same].repeat(1, pictures.restarts, 1))
        metrics["SSCD_Gen"] = gen.compute()
        if orig.shape[1] > 1:
            spread = DSSCD()
            for i in kept:  # one by one: the pairs of hundreds of seeds are many
                spread.update(features["sscd"][i : i + 1])
            metrics["D_SSCD"] = spread.compute()
        metrics |= own_metrics(run, pictures, kept)
        clip = a_clip(features["clip"][kept].flatten(0, 1), _texts(features, kept))
        metrics["A_CLIP"] = mean_estimate(clip.view(len(kept), -1).mean(1))
        if all(pictures.targets[i].changing is not None for i in kept):
            metrics["SSCD_Frame"] = median_estimate(over_seeds(similar["frame"][kept], "max"))
        if attacked:
            metrics |= displacements(attacked, attacked.rows(kept))
        if pictures.restarts > 1:
            # (targets, restarts): whether any image of that restart replicates
            found = orig.unflatten(1, (pictures.restarts, -1)).amax(2) > run.evaluation.made.threshold
            metrics["MR_restart"] = mean_of_shares(found.float().mean(1), pictures.restarts)
    model = pictures.subject.diffusion
    images = len(of_kind) * pictures.seeds * model.evaluations_per_image
    gradient = 0
    if attacked and run.attack:
        steps = attacked.budget.steps
        gradient, forward = (
            count(model, len(of_kind), steps)
            for count in (run.attack.made.evaluations, run.attack.made.forwards)
        )
        if (reached := attacked.triggers.get("steps_to_replication")) is not None:
            if kept:
                metrics["Work"] = work(run, attacked, reached[attacked.rows(kept)])
            gradient, forward, looks = run.attack.made.spent(model, reached[attacked.rows(of_kind)], steps)
            images += looks * model.evaluations_per_image
        images += forward
    broken = set(attacked.failed) if attacked else set()
    failed = sorted(broken & {pictures.targets[i].name for i in of_kind})
    row = base_row(run, pictures, kind, metrics, failed, images, gradient)
    return row | {"blank_images": blanks(features, of_kind)}


def work(run: Run, attacked: Attacked, reached: Tensor) -> Work:
    """Median gradient evaluations until an image of a quick sample was a copy; reached (n x restarts,)."""
    assert run.attack is not None
    steps = reached.view(-1, attacked.restarts)
    return median_work(
        *work_of_restarts(steps, attacked.budget.steps, sum(run.attack.made.per_step(run.diffusion)))
    )


def displacements(attacked: Attacked, kept: Tensor) -> dict[str, Estimate]:
    """Of the whole conditioning; where it has a pooled vector, of that and of the sequence, too."""
    rows = attacked.subject.diffusion.rows
    ends, starts = (attacked.triggers[key][kept] for key in ("embeddings", "start"))
    parts = {"Displacement": rows.of("all")}
    if rows.pooled:
        parts |= {f"Displacement_{part}": rows.of(part) for part in ("sequence", "pooled")}
    found = {}
    for name, which in parts.items():
        moved = Displacement()
        moved.update(ends[:, which], starts[:, which], attacked.restarts)
        found[name] = moved.compute()
    return found


def replication(similarity: Tensor, threshold: float) -> dict[str, Estimate]:
    """MR and SSCD_Orig over seeds' maximum, mean and median; similarity (targets, seeds).

    ``MR_one``: MR at one image per prompt, the mean over prompts of the share of their images that are
    copies.
    """
    metrics: dict[str, Estimate] = {}
    rates: dict[str, Over] = {"MR": "max", "MR_mean": "mean"}
    medians: dict[str, Over] = {"SSCD_Orig": "max", "SSCD_Orig_mean": "mean", "SSCD_Orig_median": "median"}
    for name, over in rates.items():
        rate = MemorizationRate(threshold, over=over)
        rate.update(similarity)
        metrics[name] = rate.compute()
    for name, over in medians.items():
        metrics[name] = median_estimate(over_seeds(similarity, over))
    metrics["MR_one"] = mean_of_shares((similarity > threshold).float().mean(1), similarity.shape[1])
    metrics["SSCD_Orig_p95"] = percentile_estimate(over_seeds(similarity, "max"), 0.95)
    return metrics


def _texts(features: Features, kept: list[int]) -> Tensor:
    return features["text"][kept].repeat_interleave(features["clip"].shape[1], 0)
