"""Colour of T2I-CompBench++ (Huang et al., TPAMI 2025): has each thing the colour that its prompt says?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from dori.core.errors import check_positive
from dori.core.neutral import neutral
from dori.core.parts import Part
from dori.metrics.intervals import Estimate, mean_estimate
from dori.metrics.noun_chunks import check_spacy, noun_chunks
from dori.steps.measuring.suites.suite import Scores, listed

if TYPE_CHECKING:
    from dori.steps.run import Run


@neutral("batch")
@dataclass
class CompBench:
    """BLIP's probability of *yes* for each noun chunk of the prompt, as a question; their product.

    Args:
        path: the prompts, T2I-CompBench's colour_val by default: one a line, or a table.
        blip: maker of BLIP-VQA.
        spacy: pipeline of spaCy, which finds the noun chunks.
        count: how many of the prompts, from the first; null: all 300.
        images: of each prompt; 10 in the paper.
        batch: pictures looked at once.
    """

    path: str
    blip: Callable[..., nn.Module]
    spacy: str = "en_core_web_sm"
    count: int | None = None
    images: int = 10
    batch: int = 20

    def check(self) -> None:
        """Raises InputError for a file or a package that is missing."""
        check_positive("images", self.images)
        _ = self.prompts
        check_spacy(self.spacy)
        self.blip(device="meta")

    @cached_property
    def prompts(self) -> list[str]:
        """Raises InputError, see ``listed``."""
        return listed(self.path, self.count)

    @cached_property
    def questions(self) -> dict[str, list[str]]:
        """Of each prompt: ``a red book?`` and ``a yellow vase?``."""
        chunks = noun_chunks(self.prompts, self.spacy)
        asked = ([f"{chunk}?" for chunk in own] for own in chunks)
        return dict(zip(self.prompts, asked, strict=True))

    @cached_property
    def networks(self) -> list[Any]:
        """BLIP alone."""
        return [self.blip().requires_grad_(False).eval()]

    def describe(self, images: Tensor, prompts: list[str]) -> Scores:
        """Of uint8 images (n, 3, H, W): color (n,), the product over the questions of their prompts."""
        (blip,) = self.networks
        unit = images.to(next(blip.parameters()).device).float() / 255
        return {"color": blip(unit, [self.questions[prompt] for prompt in prompts])}

    def metrics(self, run: "Run", own: Part[Any], drawn: Sequence[Scores]) -> list[dict[str, Estimate]]:
        """Color: mean over the pictures of a prompt, then over prompts; beside it its difference."""
        each = [scores["color"].mean(1) for scores in drawn]
        found = [{"Color": mean_estimate(color)} for color in each]
        for metrics, color in zip(found[1:], each[1:], strict=True):
            metrics["Color_difference"] = mean_estimate(color - each[0])
        return found
