"""Surrogates: what the pruned model draws of a memorized prompt, where that is no copy any more."""

import logging
from dataclasses import dataclass

from torch import Tensor

from dori.core.errors import InputError, check_positive, check_share
from dori.data import Target
from dori.pruning import Method

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surrogates:
    """Images of similar content by a pruned model (Finding DoRI, section 5).

    Args:
        pruning: the method; any option of the ``pruning`` group.
        images: per prompt.
        threshold: of SSCD against the original, above which a surrogate is dropped; ours.
    """

    pruning: Method
    images: int = 8
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not hasattr(self.pruning, "select"):
            raise InputError("defense.surrogates.pruning is no method: choose one, e.g. wanda_3x")
        check_positive("defense.surrogates.images", self.images)
        check_share("defense.surrogates.threshold", self.threshold)

    def keep(self, similarity: Tensor, targets: list[Target]) -> dict[str, list[int]]:
        """Of each target's images, SSCD_Orig (targets, images), those that are no replica, by name.

        Raises:
            InputError: a target is left without any.
        """
        good = similarity <= self.threshold
        if dropped := int((~good).sum()):
            log.warning(
                "%d of %d surrogates replicate their original (SSCD above %s) and are dropped",
                dropped, good.numel(), self.threshold,
            )  # fmt: skip
        kept = {t.name: row.nonzero()[:, 0].tolist() for t, row in zip(targets, good, strict=True)}
        if bare := [name for name, places in kept.items() if not places]:
            raise InputError(
                f"the pruned model replicates {len(bare)} of {len(targets)} targets in all of its surrogates"
                f" ({', '.join(bare[:5])}{', ...' if len(bare) > 5 else ''}): choose another"
                " defense.surrogates.pruning, more defense.surrogates.images, or a higher"
                " defense.surrogates.threshold"
            )
        return kept
