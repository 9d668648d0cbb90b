"""From the images of ordinary captions to rows: what a mitigation costs."""

from collections.abc import Sequence

from torch import Tensor

from dori.metrics.a_clip import a_clip
from dori.metrics.fid import fid, fid_floor, fid_ratio
from dori.metrics.intervals import Estimate, mean_estimate
from dori.metrics.kid import kid, kid_difference
from dori.steps.measuring.blank import blanks
from dori.steps.measuring.features import describe, reference_of
from dori.steps.measuring.own import own_metrics
from dori.steps.measuring.row import Row, base_row
from dori.steps.run import Run
from dori.steps.subjects import Pictures

WIDE = 256  # features: of Inception's 2,048 a jackknife of FID takes minutes


def quality_rows(run: Run, quality: Sequence[Pictures]) -> list[Row]:
    """FID, KID and A_CLIP on ordinary captions, and all three against the first's, on the same captions.

    The reference are pictures of these very captions, so that everything is paired by caption.
    """
    quality = [pictures for pictures in quality if pictures.kind == "ordinary"]
    if not quality:
        return []
    reference, network = reference_of(run) or (None, "")
    if reference is not None and len(reference) <= reference.shape[1]:
        reference = None  # its covariance would be singular
    described = [describe(run, pictures) for pictures in quality]
    clips = [a_clip(features["clip"][:, 0], features["text"]) for features in described]
    drawn = [features["quality"][:, 0] for features in described]
    rows = []
    blank = [blanks(features) for features in described]
    for pictures, clip, features, nothing in zip(quality, clips, drawn, blank, strict=True):
        metrics: dict[str, Estimate] = {"A_CLIP": mean_estimate(clip)} | own_metrics(run, pictures)
        if reference is not None:
            metrics |= distances(features, reference)
        if pictures is not quality[0]:
            metrics["A_CLIP_difference"] = mean_estimate(clip - clips[0])
            if reference is not None:
                metrics["KID_difference"] = kid_difference(features, drawn[0], reference, paired=True)
                metrics["FID_ratio"] = fid_ratio(features, drawn[0], reference, groups_of(reference))
        images = len(pictures.texts) * pictures.subject.diffusion.evaluations_per_image
        if nothing == len(pictures.texts):
            metrics = {}
        row = base_row(run, pictures, "ordinary", metrics, [], images, 0)
        rows.append({**row, "features": network or None, "blank_images": nothing})
    return rows


def distances(generated: Tensor, reference: Tensor) -> dict[str, Estimate]:
    """FID and KID of pictures of the reference's captions; FID's floor, where the halves suffice for it."""
    found = {
        "FID": fid(generated, reference, True, groups_of(reference)), "KID": kid(generated, reference, True),
    }  # fmt: skip
    if len(reference) // 2 > reference.shape[1]:
        found["FID_floor"] = fid_floor(reference)
    return found


def groups_of(reference: Tensor) -> int:
    """Into how many parts a jackknife of FID divides the captions; none where it would take too long."""
    return 20 if reference.shape[1] <= WIDE else 0
