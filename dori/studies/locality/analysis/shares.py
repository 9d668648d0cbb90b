"""Shares of an image's triggers, and what they are over images: images are drawn, not triggers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dori.metrics.differences import difference_over_images
from dori.metrics.intervals import FEWEST, Estimate, mean_of_shares, point


@dataclass(frozen=True)
class Shares:
    """Of each image a share of hits, NaN where it has no ``trials``, and those: (images,) each."""

    values: NDArray[np.float64]
    trials: NDArray[np.int64]

    @classmethod
    def of(cls, hits: Sequence[ArrayLike]) -> "Shares":
        """From each image's hits, boolean (trials,)."""
        found = [np.asarray(part, dtype=float) for part in hits]
        values = [part.mean() if len(part) else np.nan for part in found]
        return cls(np.array(values), np.array([len(part) for part in found]))

    def over_images(self) -> Estimate:
        """Their mean over the images that have any; of fewer than five without an interval."""
        kept = ~np.isnan(self.values)
        found = mean_of_shares(self.values[kept], self.trials[kept])
        return found if found["n"] >= FEWEST else point(_mean(self.values[kept]), found["n"])

    def above(self, other: "Shares") -> Estimate:
        """How much larger they are than others of the same images, on those that have both."""
        kept = ~np.isnan(self.values) & ~np.isnan(other.values)
        a, b = self.values[kept], other.values[kept]
        if len(a) < FEWEST:
            return point(_mean(a - b), len(a))
        return difference_over_images(a, b, self.trials[kept], other.trials[kept])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else np.nan
