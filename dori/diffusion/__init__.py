"""Text-to-image diffusion models, a class for each family."""

from dori.diffusion.choice import pretrained
from dori.diffusion.flux import Flux
from dori.diffusion.frozen import frozen
from dori.diffusion.protocol import Diffusion
from dori.diffusion.stable_diffusion import StableDiffusion
from dori.diffusion.stable_diffusion_3 import StableDiffusion3
from dori.diffusion.stable_diffusion_xl import StableDiffusionXL

__all__ = [
    "Diffusion", "Flux", "StableDiffusion", "StableDiffusion3", "StableDiffusionXL", "frozen", "pretrained",
]  # fmt: skip
