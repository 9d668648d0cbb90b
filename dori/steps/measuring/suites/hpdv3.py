"""HPSv3 on the prompts of HPDv3's twelve categories (Ma et al., ICCV 2025)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from dori.core.neutral import neutral
from dori.core.parts import Part
from dori.metrics.intervals import Estimate, mean_estimate
from dori.steps.measuring.suites.suite import Scores, listed

if TYPE_CHECKING:
    from dori.steps.run import Run

CATEGORIES = (
    "Characters", "Arts", "Design", "Architecture", "Animals", "Natural Scenery", "Transportation",
    "Products", "Plants", "Food", "Science", "Others",
)  # fmt: skip


@neutral("batch")
@dataclass
class HPDv3:
    """One picture of each prompt, scored by HPSv3.

    Args:
        path: folder of HPDv3's benchmark, a ``benchmark_<category>.json`` for each.
        network: maker of HPSv3.
        count: how many prompts of each category, from the first; null: all.
        batch: pictures looked at once.
    """

    path: str
    network: Callable[..., nn.Module]
    count: int | None = None
    batch: int = 4
    images: ClassVar[int] = 1

    def check(self) -> None:
        """Raises InputError for a file that is missing or broken."""
        _ = self.prompts
        self.network(device="meta")

    @cached_property
    def of_each(self) -> dict[str, list[str]]:
        """The prompts of each category. Raises InputError, see ``listed``."""
        folder = Path(self.path)
        return {name: listed(folder / f"benchmark_{name}.json", self.count) for name in CATEGORIES}

    @property
    def prompts(self) -> list[str]:
        """Category by category."""
        return [prompt for prompts in self.of_each.values() for prompt in prompts]

    @cached_property
    def networks(self) -> list[Any]:
        """HPSv3 alone."""
        return [self.network().requires_grad_(False).eval()]

    def describe(self, images: Tensor, prompts: list[str]) -> Scores:
        """Of uint8 images (n, 3, H, W): hpsv3 (n,)."""
        return {"hpsv3": self.networks[0](images.float() / 255, prompts)}

    def metrics(self, run: "Run", own: Part[Any], drawn: Sequence[Scores]) -> list[dict[str, Estimate]]:
        """HPSv3, over all pictures; of other models less the first's, too; and ``HPSv3/<category>``."""
        each = [scores["hpsv3"][:, 0] for scores in drawn]
        sizes = [len(prompts) for prompts in self.of_each.values()]
        found = []
        for scores in each:
            metrics = {"HPSv3": mean_estimate(scores)}
            if scores is not each[0]:
                metrics["HPSv3_difference"] = mean_estimate(scores - each[0])
            for name, part in zip(self.of_each, scores.split(sizes), strict=True):
                metrics[f"HPSv3/{name.replace(' ', '_')}"] = mean_estimate(part)
            found.append(metrics)
        return found
