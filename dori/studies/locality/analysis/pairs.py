"""Means over pairs, with intervals from a jackknife over images: pairs share members.

A matrix of values of all pairs is first averaged into cells, one for each two images, so that an
image counts once whatever the number of its triggers. In a cell each two sorts of start count alike:
an image's pairs hold fewer of one sort than pairs of different images do, and starts of one sort are
alike. Each image is left out once; of fewer than five images nothing is said beyond the mean.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dori.metrics.intervals import FEWEST, Estimate, mean_estimate, point
from dori.metrics.jackknife import jackknife, jackknife_ratio
from dori.studies.locality.analysis.members import ORDINARY, PROMPT, RANDOM, TRIGGER, Members, units

ONE, DIFFERENT = "one image", "different images"
BESIDE = {"memorized prompts": PROMPT, "ordinary prompts": ORDINARY, "random embeddings": RANDOM}
GROUPS = (ONE, DIFFERENT, *BESIDE)
Array = NDArray[np.float64]
Statistic = Callable[[Array], float]  # of cells (n, n)


def cells(values: Array, members: Members, kind: str) -> Array:
    """Mean of ``values`` (n, n) over the pairs of each two units of a kind; NaN where there is none.

    A member is no pair with itself; pairs whose value is NaN are left out.
    """
    groups, begun = units(members, kind), np.array([member.begun for member in members])
    values = values.copy()
    np.fill_diagonal(values, np.nan)
    found = np.full((len(groups), len(groups)), np.nan)
    for a, rows in enumerate(groups):
        for b, columns in enumerate(groups):
            parts = [
                values[np.ix_(rows[begun[rows] == one], columns[begun[columns] == other])]
                for one in np.unique(begun[rows]) for other in np.unique(begun[columns])
            ]  # fmt: skip
            means = [np.nanmean(part) for part in parts if not np.isnan(part).all()]
            found[a, b] = np.mean(means) if means else np.nan
    return found


def within(table: Array) -> float:
    """Mean of the diagonal, pairs within an image; NaN where there is none."""
    return _mean(np.diag(table))


def between(table: Array) -> float:
    """Mean over pairs of different images; NaN where there is none."""
    return _mean(_off_diagonal(table))


def over_images(statistic: Statistic, table: Array) -> Estimate:
    """``within`` or ``between`` of cells (n, n) with the jackknife's interval over images; n counts them.

    Images without what it is about (pairs of their own, or with others) are left out.
    """
    own = ~np.isnan(np.diag(table)) if statistic is within else ~np.isnan(_off_diagonal(table)).all(1)
    table = table[np.ix_(own, own)]
    if len(table) < FEWEST:
        return point(statistic(table), len(table))
    return jackknife(statistic(table), _left_out(statistic, table), n=len(table))


def ratio(table: Array) -> Estimate:
    """``within`` over ``between``: 1 where an image's triggers are no more alike than any; over images with
    pairs of both sorts."""
    own = ~np.isnan(np.diag(table)) & ~np.isnan(_off_diagonal(table)).all(1)
    table = table[np.ix_(own, own)]
    if len(table) < FEWEST:
        return point(within(table) / (between(table) or np.nan), len(table))
    inside, across = (_left_out(statistic, table) for statistic in (within, between))
    return jackknife_ratio(within(table), between(table), inside, across, len(table))


def _left_out(statistic: Statistic, table: Array) -> list[float]:
    """The statistic without each image."""
    return [statistic(np.delete(np.delete(table, i, 0), i, 1)) for i in range(len(table))]


def _off_diagonal(table: Array) -> Array:
    return np.where(np.eye(len(table), dtype=bool), np.nan, table)


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def of_pairs(values: Array, members: Members) -> dict[str, Estimate]:
    """Mean of ``values`` (n, n) for each of the ``GROUPS`` of pairs."""
    triggers = cells(values, members, TRIGGER)
    found = {ONE: over_images(within, triggers), DIFFERENT: over_images(between, triggers)}
    for name, kind in BESIDE.items():
        found[name] = over_images(between, cells(values, members, kind))
    return found


def compared(values: Array, members: Members) -> Estimate:
    """How much of the mean over pairs of different images remains within an image: their ratio."""
    return ratio(cells(values, members, TRIGGER))


def each(values: Array, members: Members) -> Estimate:
    """Mean of one value per trigger (n,), NaN for what is left out, over images."""
    groups = [values[rows][~np.isnan(values[rows])] for rows in units(members, TRIGGER)]
    found = [group.mean() for group in groups if len(group)]
    return (
        mean_estimate(found)
        if len(found) >= FEWEST
        else point(np.mean(found) if found else np.nan, len(found))
    )
