"""What Stable Diffusion 1, 2 and XL share: a U-Net with cross-attention, on DDPM's schedule."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from dori.diffusion.checks.fit import check_channels, check_problems, settings
from dori.diffusion.checks.schedule import scheduler_of
from dori.diffusion.family import Family
from dori.diffusion.layers import Choice
from dori.diffusion.schedules.ddim import Ddim


class UNetFamily(Family):
    """Text reaches the U-Net by cross-attention alone (``attn2``)."""

    LAYERS: ClassVar[Mapping[str, Choice]] = {
        # Wanda's: the second linear of every feed-forward, sixteen in SD 1.4
        "feed_forward": lambda name: name.endswith("ff.net.2"),
        # NeMo's: values of the text cross-attention in the down blocks and the mid block, seven in SD 1.4
        "values": lambda name: name.endswith("attn2.to_v") and not name.startswith("up_blocks"),
        "all_values": lambda name: name.endswith("attn2.to_v"),
        "text_keys": lambda name: name.endswith("attn2.to_k"),
    }

    @cached_property
    def schedule(self) -> Ddim:
        return Ddim(scheduler_of(self.folder))

    @property
    def trained_size(self) -> tuple[int, int]:
        size: Any = self.skeleton.config.sample_size  # type: ignore[union-attr]
        return (size, size) if isinstance(size, int) else (size[1], size[0])

    def check_fit(self) -> None:
        unet = self.components.parts["unet"]
        found = settings(unet)
        check_problems(unet, self.problems(found))
        check_problems(unet, _of_size(found["sample_size"]))
        check_channels(
            found["in_channels"], found["out_channels"], self.components.vae["latent_channels"], unet
        )
        self.check_text(found)

    @abstractmethod
    def problems(self, unet: dict[str, Any]) -> Iterator[str]:
        """What of a U-Net's settings is of another family."""

    @abstractmethod
    def check_text(self, unet: dict[str, Any]) -> None:
        """Raises InputError: a U-Net that reads other text than the text encoders give."""

    @property
    def replayable(self) -> list[str]:
        """The first convolution, blocks, and the resnets and attentions in them."""
        found = ["conv_in"]
        for name, _ in self.skeleton.named_modules():
            depth, top = name.count("."), name.split(".")[0]
            if (top in ("down_blocks", "up_blocks") and depth in (1, 3)) or (
                top == "mid_block" and depth in (0, 2)
            ):
                found.append(name)
        return found


def _of_size(size: Any) -> Iterator[str]:
    if not isinstance(size, int) and not (isinstance(size, list) and len(size) == 2):
        yield f"sample_size is {size!r}: write the side of its latents there, 64 in Stable Diffusion 1"
