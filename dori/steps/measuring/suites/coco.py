"""FID, KID, CLIP-FID, CMMD and A_CLIP on COCO's captions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from dori.core.errors import check_positive
from dori.core.neutral import neutral
from dori.core.parts import Part
from dori.data.captioned import picture_files
from dori.metrics.a_clip import a_clip
from dori.metrics.cmmd import cmmd
from dori.metrics.fid import fid
from dori.metrics.intervals import Estimate, mean_estimate
from dori.metrics.kid import kid, kid_difference
from dori.metrics.networks.clip import squared
from dori.steps.measuring.suites.described import described_files
from dori.steps.measuring.suites.suite import Scores, listed

if TYPE_CHECKING:
    from dori.steps.run import Run

GROUPS, WIDE = 20, 1024  # a jackknife of FID takes 40 evaluations: of Inception's 2,048 features minutes


@neutral("batch")
@dataclass
class Coco:
    """One picture of each caption against real pictures; both as squares, the middle of what is oblong.

    The real pictures are looked at once and kept in the cache, whatever model is measured. FID is left out
    where there are no more pictures than features: its covariance would be singular.

    Args:
        captions: table of captions, a column ``caption`` or ``prompt``; or a text with one a line.
        pictures: folder of real pictures, best those of these very captions.
        features: Inception, images to (n, d): of FID and KID.
        clip: CLIP ViT-B/32: of CLIP-FID and A_CLIP.
        cmmd: CLIP ViT-L/14 at 336 pixels: of CMMD.
        count: how many of the captions, from the first; the papers take 10,000.
        resolution: side in pixels of the squares.
        batch: pictures looked at once.
    """

    captions: str
    pictures: str
    features: Callable[..., nn.Module]
    clip: Callable[..., nn.Module]
    cmmd: Callable[..., nn.Module]
    count: int = 10_000
    resolution: int = 512
    batch: int = 16
    images: ClassVar[int] = 1

    def check(self) -> None:
        """Raises InputError for a file that is missing or broken."""
        check_positive("resolution", self.resolution)
        _ = self.prompts, self.files
        for maker in (self.features, self.clip, self.cmmd):
            maker(device="meta")

    @cached_property
    def prompts(self) -> list[str]:
        """The captions. Raises InputError, see ``listed``."""
        return listed(self.captions, self.count)

    @cached_property
    def files(self) -> list[Path]:
        """The real pictures. Raises InputError where there are none."""
        return picture_files(Path(self.pictures))

    @cached_property
    def networks(self) -> list[Any]:
        """Those of FID, CLIP-FID and CMMD, in this order."""
        makers = (self.features, self.clip, self.cmmd)
        return [maker().requires_grad_(False).eval() for maker in makers]

    def seen(self, images: Tensor) -> Scores:
        """Of uint8 images (n, 3, H, W): inception, clip as long as CLIP made them, cmmd of length one."""
        inception, clip, cmmd = self.networks
        unit = images.to(next(clip.parameters()).device).float() / 255
        unit = squared(unit, self.resolution)
        return {
            "inception": inception(unit), "clip": clip.image_embeddings(unit),
            "cmmd": cmmd.image_features(unit),
        }  # fmt: skip

    def describe(self, images: Tensor, prompts: list[str]) -> Scores:
        """The same, and text: their captions to unit vectors."""
        return self.seen(images) | {"text": self.networks[1].text_features(prompts)}

    def metrics(self, run: "Run", own: Part[Any], drawn: Sequence[Scores]) -> list[dict[str, Estimate]]:
        """FID, KID, CLIP_FID, CMMD, A_CLIP; of other models KID and A_CLIP less the first's, too."""
        real = described_files(run, own, self.files, self.resolution, self.seen)
        each = [{name: scores[name][:, 0] for name in (*real, "text")} for scores in drawn]
        found = []
        for one in each:
            fits = a_clip(one["clip"], one["text"])
            metrics = {"FID": _fid(one["inception"], real["inception"])} | {
                "KID": kid(one["inception"], real["inception"]),
                "CLIP_FID": _fid(one["clip"], real["clip"]),
                "CMMD": cmmd(one["cmmd"], real["cmmd"]),
                "A_CLIP": mean_estimate(fits),
            }
            if one is not each[0]:
                first = a_clip(each[0]["clip"], each[0]["text"])
                metrics["A_CLIP_difference"] = mean_estimate(fits - first)
                metrics["KID_difference"] = kid_difference(
                    one["inception"], each[0]["inception"], real["inception"]
                )
            found.append({name: figure for name, figure in metrics.items() if figure})
        return found


def _fid(generated: Tensor, real: Tensor) -> Estimate | None:
    """None where the covariance of either would be singular."""
    if min(len(generated), len(real)) <= real.shape[1]:
        return None
    return fid(generated, real, groups=GROUPS if real.shape[1] <= WIDE else 0)
