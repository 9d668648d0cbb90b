"""What transformers with joint attention share: rectified flow, text and image tokens in one attention."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from dori.diffusion.checks.fit import text_settings
from dori.diffusion.checks.schedule import flow_of
from dori.diffusion.family import Family
from dori.diffusion.layers import Choice
from dori.diffusion.schedules.flow import LOGIT_NORMAL, Flow


class JointFamily(Family):
    """Text has a stream of its own (``add_v_proj``, ``ff_context``), which sees the image in each block."""

    SHIFTED = True
    PATCH = 2
    values_read_text = False
    EVEN: ClassVar[bool]  # see ``Flow``

    # a text stream's values are NeMo's, wherever they are: there are no halves as in a U-Net; ours
    LAYERS: ClassVar[Mapping[str, Choice]] = {
        "feed_forward": lambda name: name.endswith(("ff.net.2", "ff_context.net.2")),
        "values": lambda name: name.endswith("attn.add_v_proj"),
        "all_values": lambda name: name.endswith("attn.add_v_proj"),
    }

    @cached_property
    def schedule(self) -> Flow:
        return Flow(flow_of(self.folder), LOGIT_NORMAL, self.EVEN)

    @property
    def replayable(self) -> list[str]:
        """The blocks."""
        blocks = ("transformer_blocks", "single_transformer_blocks")
        names = (name for name, _ in self.skeleton.named_modules())
        return [name for name in names if name.rpartition(".")[0] in blocks]

    def text(self, name: str) -> Any:
        """A text encoder's settings."""
        return text_settings(self.components.parts[name])


def expanded(asked: Tensor, like: Tensor) -> Tensor:
    """A time for each sample (n,), of one for all or of as many."""
    return asked.to(like.device).expand(len(like))
