"""Where an attack starts: embeddings (n, tokens, width) for targets."""

from torch import Tensor

from dori.data import Target
from dori.diffusion import StableDiffusion


def prompt(diffusion: StableDiffusion, targets: list[Target]) -> Tensor:
    """The embedding of each target's own prompt (Finding DoRI, main table)."""
    return diffusion.encode_prompts([target.prompt for target in targets]).float()
