"""Means over pairs, with intervals from a bootstrap over images: pairs share members.

A matrix of values of all pairs is first averaged into cells, one for each two images, so that an
image counts once whatever the number of its triggers. In a cell each two sorts of start count alike:
an image's pairs hold fewer of one sort than pairs of different images do, and starts of one sort are
alike. A resample draws images with replacement; two
draws of one image are no pair of different images, and are left out.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dori.locality.members import ORDINARY, PROMPT, RANDOM, TRIGGER, Members, units
from dori.metrics.intervals import Estimate, bootstrap, estimate

ONE, DIFFERENT = "one image", "different images"
BESIDE = {"memorized prompts": PROMPT, "ordinary prompts": ORDINARY, "random embeddings": RANDOM}
GROUPS = (ONE, DIFFERENT, *BESIDE)
Array = NDArray[np.float64]
Statistic = Callable[[Array, Array], Array]  # cells (n, n) and weights (r, n) of the images -> (r,)


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


def within(table: Array, weights: Array) -> Array:
    """Weighted mean of the diagonal, pairs within an image: weights (r, n) -> (r,)."""
    return _divided(weights @ np.diag(table), weights.sum(1))


def between(table: Array, weights: Array) -> Array:
    """Weighted mean over pairs of different images: weights (r, n) -> (r,)."""
    counted = ~np.isnan(table) & ~np.eye(len(table), dtype=bool)
    total = (weights @ np.where(counted, table, 0.0) * weights).sum(1)
    return _divided(total, (weights @ counted.astype(float) * weights).sum(1))


def ratio(table: Array, weights: Array) -> Array:
    """``within`` over ``between``: 1 where an image's triggers are no more alike than any."""
    return _divided(within(table, weights), between(table, weights))


def _divided(total: Array, count: Array) -> Array:
    return total / np.where(count > 0, count, np.nan)


def over_images(statistic: Statistic, table: Array, seed: int = 0, resamples: int = 9999) -> Estimate:
    """A statistic of cells (n, n), with its percentile interval over images; n counts them.

    Images without what it is about (pairs of their own, or with others) are left out.
    """
    own, others = ~np.isnan(np.diag(table)), ~np.isnan(_off_diagonal(table)).all(1)
    kept = own if statistic is within else others if statistic is between else own & others
    table, n = table[np.ix_(kept, kept)], int(kept.sum())
    if n == 0:
        return estimate(np.nan, np.nan, np.nan, 0)
    value = float(statistic(table, np.ones((1, n)))[0])
    weights = np.random.default_rng(seed).multinomial(n, [1 / n] * n, size=resamples).astype(float)
    found = statistic(table, weights)
    found = found[np.isfinite(found)]
    low, high = np.percentile(found, [2.5, 97.5]) if len(found) else (np.nan, np.nan)
    return estimate(value, low, high, n)


def _off_diagonal(table: Array) -> Array:
    return np.where(np.eye(len(table), dtype=bool), np.nan, table)


def of_pairs(values: Array, members: Members) -> dict[str, Estimate]:
    """Mean of ``values`` (n, n) for each of the ``GROUPS`` of pairs."""
    triggers = cells(values, members, TRIGGER)
    found = {ONE: over_images(within, triggers), DIFFERENT: over_images(between, triggers)}
    for name, kind in BESIDE.items():
        found[name] = over_images(between, cells(values, members, kind))
    return found


def compared(values: Array, members: Members) -> Estimate:
    """How much of the mean over pairs of different images remains within an image: their ratio."""
    return over_images(ratio, cells(values, members, TRIGGER))


def each(values: Array, members: Members) -> Estimate:
    """Mean of one value per trigger (n,), NaN for what is left out, over images."""
    groups = [values[rows][~np.isnan(values[rows])] for rows in units(members, TRIGGER)]
    return bootstrap([group.mean() for group in groups if len(group)], np.mean, 0)
