"""A row for each model and suite of ``evaluation.quality``."""

from collections.abc import Sequence

from dori.core.parts import Part
from dori.steps.measuring.row import Row, base_row
from dori.steps.measuring.suites.described import described
from dori.steps.measuring.suites.suite import Suite
from dori.steps.run import Run
from dori.steps.subjects import Pictures


def suite_rows(run: Run, quality: Sequence[Pictures]) -> list[Row]:
    """Of kind ``quality/NAME``; the suite's settings are among the row's ``params``."""
    rows = []
    for name, made in run.evaluation.made.quality.items():
        suite: Part[Suite] = Part.at(run.cfg, f"evaluation.quality.{name}", made)
        drawn = [pictures for pictures in quality if pictures.kind == f"quality/{name}"]
        scores = [described(run, suite, pictures) for pictures in drawn]
        for pictures, each, metrics in zip(drawn, scores, made.metrics(run, suite, scores), strict=True):
            images = len(pictures.texts) * pictures.seeds * pictures.subject.diffusion.evaluations_per_image
            told = {} if each["blank"].all() else metrics
            row = base_row(run, pictures, pictures.kind, told, [], images, 0)
            row["params"] |= suite.settings
            rows.append({**row, "blank_images": int(each["blank"].sum())})
    return rows
