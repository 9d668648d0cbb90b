"""Curves for trackers: what an attack reaches at each of its budgets."""

from lightning.pytorch.loggers import Logger, WandbLogger

from dori.results.budget.injection import Curve, Point
from dori.results.budget.lines import curves
from dori.results.figures.curves import name_of
from dori.results.reading.rows import Rows


def log_curves(logger: Logger, rows: Rows) -> None:
    """The attack at several budgets as curves, so that runs with another mitigation lie over one another.

    ``curve/MR`` and ``curve/Displacement`` of memorized images, ``curve/MR_twin``, ``curve/MR_unseen`` and
    so on of the counterfactuals; what else differs within the job is appended to the name.
    """
    for curve in curves(rows):
        log_curve(logger, curve)


def log_curve(logger: Logger, curve: Curve) -> None:
    """One line of a figure over budgets, point by point."""
    axis = f"budget/{curve.axis}"
    if isinstance(logger, WandbLogger):
        logger.experiment.define_metric(axis)
        logger.experiment.define_metric("curve/*", step_metric=axis)
    values = [f"{name}={name_of(value)}" for name, value in curve.others.items()]
    for index, point in enumerate(curve.points):
        named = {",".join([f"curve/{name}", *values]): value for name, value in figures(point).items()}
        log_line(logger, {axis: point.budget, **named}, index)


def log_line(logger: Logger, line: dict[str, float], index: int) -> None:
    """A line of figures; W&B has axes of its own for them."""
    if isinstance(logger, WandbLogger):
        logger.experiment.log(line)
    else:
        logger.log_metrics(line, step=index)


def figures(point: Point) -> dict[str, float]:
    """What an attack reached at one budget, and the same attack elsewhere, under names without settings."""
    found = {"MR": point.rate.value}
    if point.displacement:
        found["Displacement"] = point.displacement.value
    if point.margin:
        found["MR_margin"] = point.margin.value
    for each in point.counterfactuals:
        base = each.setting.partition("+")[0]
        place = "twin" if base == "twin" else f"{each.kind}_original" if base == "original" else each.kind
        found[f"MR_{place}"] = each.rate.value
        if each.displacement:
            found[f"Displacement_{place}"] = each.displacement.value
    return found
