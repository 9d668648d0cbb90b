from dori.diffusion.stable_diffusion import StableDiffusion, frozen

__all__ = ["StableDiffusion", "frozen"]
