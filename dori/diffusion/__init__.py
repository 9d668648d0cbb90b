from dori.diffusion.frozen import frozen
from dori.diffusion.stable_diffusion import StableDiffusion

__all__ = ["StableDiffusion", "frozen"]
