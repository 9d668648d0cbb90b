"""From the images of ordinary captions to rows: what a mitigation costs."""

from collections.abc import Sequence

import numpy as np

from dori.metrics.a_clip import a_clip
from dori.metrics.fid import fid
from dori.metrics.intervals import Estimate, bootstrap
from dori.metrics.kid import kid, kid_difference
from dori.studies.features import describe, reference_of
from dori.studies.row import Row, base_row
from dori.studies.run import Run
from dori.studies.subjects import Pictures


def quality_rows(run: Run, quality: Sequence[Pictures]) -> list[Row]:
    """FID, KID and A_CLIP on ordinary captions; KID_difference against the first, same captions."""
    if not quality:
        return []
    reference = reference_of(run)
    described = [describe(run, pictures) for pictures in quality]
    rows = []
    for pictures, features in zip(quality, described, strict=True):
        clip = a_clip(features["clip"][:, 0], features["text"])
        metrics: dict[str, Estimate] = {"A_CLIP": bootstrap(clip, np.mean, 0)}
        generated = features["quality"][:, 0]
        if reference is not None and len(reference) > reference.shape[1]:
            # FID's jackknife takes minutes at Inception's 2,048 features
            groups = 20 if reference.shape[1] <= 256 else 0
            metrics["FID"], metrics["KID"] = fid(generated, reference, groups), kid(generated, reference)
            if pictures is not quality[0]:
                metrics["KID_difference"] = kid_difference(
                    generated, described[0]["quality"][:, 0], reference
                )
        images = len(pictures.texts) * pictures.subject.diffusion.evaluations_per_image
        rows.append(base_row(run, pictures, "ordinary", metrics, [], images, 0))
    return rows
